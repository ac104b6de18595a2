import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, afterEach, before, describe, it } from 'node:test';
import { findLeftovers, removeLeftovers } from '../../src/backup/find-leftovers.ts';
import { BackupError } from '../../src/core/backup-error.ts';
import type { ObjectStore } from '../../src/storage/object-store.ts';
import type { StoreTimings } from '../../src/storage/store-settings.ts';
import { FaultProxy, refusal, type Fault } from './fault-proxy.ts';
import { quietContext } from './quiet-context.ts';
import { SweepStage, type DumpTool } from './sweep-stage.ts';
import { listAll } from './test-bytes.ts';

/** A kind of store whose every call is to fail once. */
export interface SweptStore {
  /** The server that the calls go to. */
  readonly serverPort: number;
  /** Opens the store of this name, empty when the name is new: straight, or by another address of the server. */
  open(name: string, through: { readonly endpoint?: string; readonly timings: StoreTimings }): Promise<ObjectStore>;
  /** First line of a request that begins an upload: when its answer is lost, nobody knows what to abort. */
  readonly beginsUpload: RegExp;
  /** The service answers what a create asks by heads alone: faults of a body cannot happen there. */
  readonly hasAnswersWithoutBody?: boolean;
}

const patient: StoreTimings = {
  connectTimeoutMs: 2_000,
  idleTimeoutMs: 700,
  retry: { attempts: 4, firstDelayMs: 5, maxDelayMs: 20 },
  patientRetry: { attempts: 5, firstDelayMs: 5, maxDelayMs: 20 },
};
/** One call, and that is it: what a patient store meets when a fault outlasts its patience. */
const impatient: StoreTimings = {
  ...patient,
  // None of its faults is silence, and a busy machine may be silent for a while.
  idleTimeoutMs: 10_000,
  retry: { ...patient.retry, attempts: 1 },
  patientRetry: { ...patient.patientRetry, attempts: 1 },
};

const faults = {
  'is refused': { kind: 'reset', direction: 'up', afterBytes: 0 },
  'is cut off in its head': { kind: 'reset', direction: 'up', afterBytes: 60 },
  'is cut off in its body': { kind: 'reset', direction: 'up', afterBytes: 'mid-body' },
  'meets an error of the server': refusal('500 Internal Server Error'),
  'meets a server that is overloaded': refusal('503 Service Unavailable', { 'Retry-After': '1' }),
  'is one too many': refusal('429 Too Many Requests'),
  'gets no answer': { kind: 'stall', direction: 'up', afterBytes: 0 },
  'gets half of its answer': { kind: 'reset', direction: 'down', afterBytes: 'mid-body' },
  'is served, and its answer lost': { kind: 'reset', direction: 'down', afterBytes: 0 },
  'gets an answer with a changed bit': { kind: 'flip', direction: 'down', atByte: 'mid-body' },
  'arrives with a changed bit': { kind: 'flip', direction: 'up', atByte: 'mid-body' },
} as const satisfies Record<string, Fault>;
type FaultName = keyof typeof faults;

const faultNames = Object.keys(faults) as FaultName[];
/** Those that differ in what the server has seen when nobody calls again. */
const lastingFaults: readonly FaultName[] = [
  'is refused',
  'gets half of its answer',
  'is served, and its answer lost',
  'gets an answer with a changed bit',
  'arrives with a changed bit',
];

function hitsBody(fault: Fault, direction: 'up' | 'down'): boolean {
  return fault.kind !== 'answer' && fault.direction === direction && Object.values(fault).includes('mid-body');
}

/**
 * Registers a sweep over one kind of store: a clean run counts the calls, and then each of them fails once in each way.
 * Every run must end with a backup that verifies (or an identical database), or with an error that the documentation
 * knows and nothing listed (or a target as it was); and the next run must succeed.
 */
export function testFaultSweep(name: string, openSubject: () => Promise<SweptStore>): void {
  describe(`every call to ${name} fails once`, () => {
    let sweep: Sweep;
    before(async () => (sweep = await Sweep.open(await openSubject())));
    afterEach(() => sweep.proxy.reset());
    after(async () => await sweep[Symbol.asyncDispose]());

    for (const fault of faultNames) {
      // PostgreSQL adds nothing to most of them.
      const tool = fault === 'is served, and its answer lost' ? 'pg_dump' : 'premade';
      it(`in a create that calls again, where a call ${fault}`, async () => {
        await sweep.sweepCreate({ fault, timings: patient, tool });
      });
    }
    for (const fault of lastingFaults) {
      it(`in a create that gives up, where a call ${fault}`, async () => {
        await sweep.sweepCreate({ fault, timings: impatient, tool: 'premade' });
      });
    }
    for (const fault of ['is refused', 'is served, and its answer lost'] as const) {
      it(`in a create whose pg_dump fails, where a call ${fault}`, async () => {
        await sweep.sweepCreate({ fault, timings: impatient, tool: 'failing' });
      });
    }
    // The calls of a restore have no bodies.
    for (const fault of faultNames.filter((name) => !hitsBody(faults[name], 'up'))) {
      it(`in a restore that calls again, where a call ${fault}`, async () => {
        await sweep.sweepRestore({ fault, timings: patient });
      });
    }
    for (const fault of ['is refused', 'gets half of its answer', 'gets an answer with a changed bit'] as const) {
      it(`in a restore that gives up, where a call ${fault}`, async () => {
        await sweep.sweepRestore({ fault, timings: impatient });
      });
    }
    it('in the cleaning up after a failure', async () => await sweep.sweepCleanup());
  });
}

interface SweptFault {
  readonly fault: FaultName;
  readonly timings: StoreTimings;
}

class Sweep implements AsyncDisposable {
  readonly proxy: FaultProxy;
  readonly #subject: SweptStore;
  readonly #stage: SweepStage;

  private constructor(subject: SweptStore, proxy: FaultProxy, stage: SweepStage) {
    this.#subject = subject;
    this.proxy = proxy;
    this.#stage = stage;
  }

  static async open(subject: SweptStore): Promise<Sweep> {
    return new Sweep(subject, await FaultProxy.start(subject.serverPort), await SweepStage.open());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.proxy[Symbol.asyncDispose]();
    await this.#stage[Symbol.asyncDispose]();
  }

  async sweepCreate(swept: SweptFault & { readonly tool: DumpTool }): Promise<void> {
    const calls = await this.#countCreate(swept.tool);
    assert.ok(calls >= 4, `only ${calls} calls`);
    let happened = 0;
    for (let position = 1; position <= calls; position += 1) {
      const what = `call ${position} of ${calls}`;
      happened += await this.#createOnce(swept, [[position, faults[swept.fault]]], what);
    }
    const cannotHappen = this.#subject.hasAnswersWithoutBody === true && hitsBody(faults[swept.fault], 'down');
    assert.equal(happened > 0, !cannotHappen, `${happened} calls have met the fault`);
  }

  /** The manifest's last call fails, and then one of the calls that should remove what there is. */
  async sweepCleanup(): Promise<void> {
    const calls = await this.#countCreate('premade');
    for (const fault of lastingFaults) {
      for (let beyond = 1; beyond <= 3; beyond += 1) {
        const what = `${fault}: ${beyond} calls after the last one`;
        const injected = [
          [calls, faults['is refused']],
          [calls + beyond, faults[fault]],
        ] as const;
        await this.#createOnce({ fault, timings: impatient, tool: 'premade' }, injected, what);
      }
    }
  }

  async #countCreate(tool: DumpTool): Promise<number> {
    const before = this.proxy.requests.length;
    await this.#within(
      patient,
      async (store) => await this.#stage.create(store, tool).catch(ignoreIf(tool === 'failing')),
    );
    return this.proxy.requests.length - before;
  }

  /** One create with these faults; gives how many have happened. */
  async #createOnce(
    { timings, tool }: SweptFault & { readonly tool: DumpTool },
    injected: readonly (readonly [number, Fault])[],
    what: string,
  ): Promise<number> {
    let happened = 0;
    await this.#within(timings, async (store, direct) => {
      const first = this.proxy.requests.length;
      for (const [position, fault] of injected) this.proxy.injectAt(position, fault);
      const failure = await failureOf(async () => await this.#stage.create(store, tool));
      happened = this.proxy.happenedFaults;
      const met = injected.map(([at]) => this.proxy.requests[first + at - 1] ?? 'none');
      const context = `${what}: ${met.join(', ')}`;
      this.proxy.reset();
      const isCleanup = tool === 'failing' || injected.length > 1;
      if (isCleanup) assert.notEqual(failure, null, context);
      const mayLeaveUpload = met.some((line) => this.#subject.beginsUpload.test(line));
      // A dump that failed has no manifest to be left.
      const mayBeListed = isCleanup && tool !== 'failing';
      const outcome = { failure, context, mayLeaveUpload, isCleanupHit: isCleanup, mayBeListed };
      const listed = await this.#assertOutcome(direct, outcome);
      if (failure === null) return;
      if (tool !== 'failing') assertDocumented(failure, happened, context);
      await this.#stage.create(store, 'premade');
      await this.#stage.verifyAll(direct, listed + 1);
    });
    return happened;
  }

  /** Gives the number of backups listed, each of which was proven. */
  async #assertOutcome(direct: ObjectStore, outcome: Outcome): Promise<number> {
    const { failure, context, mayLeaveUpload, isCleanupHit, mayBeListed } = outcome;
    const listed = await this.#stage.verifyAll(direct);
    if (failure === null) assert.equal(listed, 1, context);
    else if (!mayBeListed) assert.equal(listed, 0, context);
    if (failure !== null && !isCleanupHit) assert.deepEqual(await listAll(direct.list('')), [], context);
    const unfinished = await listAll(direct.listUnfinished(''));
    if (!mayLeaveUpload && !isCleanupHit) assert.deepEqual(unfinished, [], context);
    await assertCollectable(direct, listed, context);
    return listed;
  }

  async sweepRestore({ fault, timings }: SweptFault): Promise<void> {
    await this.#within(timings, async (store, direct) => {
      await this.#stage.create(direct, 'premade');
      const before = this.proxy.requests.length;
      await this.#stage.restore(store);
      const calls = this.proxy.requests.length - before;
      assert.ok(calls >= 4, `only ${calls} calls`);
      await this.#stage.assertRestored();
      let happened = 0;
      for (let position = 1; position <= calls; position += 1) {
        this.proxy.reset();
        this.proxy.injectAt(position, faults[fault]);
        const failure = await failureOf(async () => await this.#stage.restore(store));
        const context = `call ${position} of ${calls} (${this.proxy.requests.at(-1)})`;
        happened += this.proxy.happenedFaults;
        if (failure === null) await this.#stage.assertRestored();
        else {
          assertDocumented(failure, this.proxy.happenedFaults, context);
          await this.#stage.assertEmpty();
          this.proxy.reset();
          await this.#stage.restore(store);
          await this.#stage.assertRestored();
        }
      }
      assert.ok(happened > 0, 'no call has met the fault');
    });
  }

  /** Runs `use` with an empty store: through the proxy, and straight. Empties it again. */
  async #within(timings: StoreTimings, use: (store: ObjectStore, direct: ObjectStore) => Promise<void>): Promise<void> {
    const name = randomUUID();
    await using direct = await this.#subject.open(name, { timings: calm });
    await using store = await this.#subject.open(name, { endpoint: this.proxy.endpoint, timings });
    await use(store, direct);
    await direct.delete((await listAll(direct.list(''))).map(({ key }) => key));
  }
}

const calm: StoreTimings = { ...patient, idleTimeoutMs: 30_000 };

interface Outcome {
  readonly failure: unknown;
  readonly context: string;
  /** The answer to the call that begins an upload may be lost, and with it the name of what is to be aborted. */
  readonly mayLeaveUpload: boolean;
  /** What a failed run leaves is not listed, but it is there: the calls that should remove it may have met the fault. */
  readonly isCleanupHit: boolean;
  /** The manifest was stored before the failure. */
  readonly mayBeListed: boolean;
}

function ignoreIf(isExpected: boolean): (error: unknown) => void {
  return (error) => {
    if (!isExpected) throw error;
  };
}

/** What `run` throws; `null` when it succeeds. */
async function failureOf(run: () => Promise<unknown>): Promise<unknown> {
  try {
    await run();
    return null;
  } catch (error) {
    return error;
  }
}

/** The failure has a kind and names the store or the object; and it is not there for nothing. */
function assertDocumented(failure: unknown, happened: number, context: string): void {
  assert.ok(failure instanceof BackupError, `${context}: ${String(failure)}`);
  assert.ok(
    ['storage', 'integrity', 'notFound', 'conflict', 'access', 'key'].includes(failure.kind),
    `${context}: ${failure.kind}`,
  );
  assert.ok(happened > 0, `${context}: ${failure.message}, without a fault`);
}

/** Whatever is there beside listed backups is found by who looks for leftovers, and goes away. */
async function assertCollectable(direct: ObjectStore, listed: number, context: string): Promise<void> {
  const now = quietContext();
  const leftovers = await findLeftovers({ store: direct, minAgeMs: -60_000 }, now);
  await removeLeftovers(direct, leftovers, now);
  assert.equal((await listAll(direct.list(''))).length, 2 * listed, context);
  assert.deepEqual(await listAll(direct.listUnfinished('')), [], context);
}
