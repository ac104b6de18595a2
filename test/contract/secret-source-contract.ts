import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, it } from 'node:test';
import { inspect } from 'node:util';
import { BackupError } from '../../src/core/backup-error.ts';
import { readSecret, type Environment, type SecretRead } from '../../src/keys/read-secret.ts';
import { parseSecretReference } from '../../src/keys/secret-reference.ts';

/** One kind of place that keeps secrets, and how to put some there. */
export interface SourceUnderTest {
  /** What reading needs; each call may give another one. */
  env(): Environment;
  /** Keeps a new secret, in a place of its own, and gives the reference to it, without a version. */
  put(value: string): Promise<string>;
  /** Keeps a JSON object, and gives the reference to it, without field and version. Absent where references take none. */
  readonly putFields?: (fields: Readonly<Record<string, string>>) => Promise<string>;
  /** Gives a secret that is there another value, as a new version. Absent where there are no versions. */
  readonly putAgain?: (reference: string, value: string) => Promise<void>;
  /** A reference to what was never there. */
  readonly missing: string;
  /** A version that well-formed references may name and that no secret here has. */
  readonly missingVersion?: string;
}

/** Registers the tests of the contract of `SecretSource`, as `readSecret` gives it to the others. */
export function testSecretSource(name: string, subject: SourceUnderTest): void {
  describe(`secret source contract: ${name}`, () => {
    const read = async (reference: string, signal?: AbortSignal): Promise<SecretRead> =>
      await readSecret(parseSecretReference(reference), {
        env: subject.env(),
        ...(signal !== undefined && { signal }),
      });

    testValues(subject, read);
    testAbsence(subject, read);
    if (subject.putFields !== undefined) testFields(subject.putFields, read);
    if (subject.putAgain !== undefined) testVersions(subject, subject.putAgain, read);
  });
}

type Read = (reference: string, signal?: AbortSignal) => Promise<SecretRead>;

function testValues(subject: SourceUnderTest, read: Read): void {
  it('gives a secret as it was kept', async () => {
    for (const value of [' é\n', 'one', 'two\nlines\n', '{"a":"b"}', 'x'.repeat(8_000)]) {
      const { secret, warnings } = await read(await subject.put(value));
      assert.equal(secret.revealText(), value);
      assert.deepEqual(warnings, []);
    }
  });

  it('never prints the value', async () => {
    const value = `hunter2-${randomUUID()}`;
    const answer = await read(await subject.put(value));
    assert.ok(!inspect(answer, { depth: 9, showHidden: true }).includes(value));
    assert.ok(!JSON.stringify(answer).includes(value));
  });

  it('gives many secrets at once', async () => {
    const values = Array.from({ length: 8 }, () => randomUUID());
    const references = await Promise.all(values.map(async (value) => await subject.put(value)));
    const answers = await Promise.all(references.map(async (reference) => await read(reference)));
    assert.deepEqual(
      answers.map(({ secret }) => secret.revealText()),
      values,
    );
  });
}

type PutFields = (fields: Readonly<Record<string, string>>) => Promise<string>;

function testFields(putFields: PutFields, read: Read): void {
  it('takes a field of a JSON object, and names the fields there are when it has no such', async () => {
    const reference = await putFields({ user: 'backup', password: 'hunter2' });
    assert.equal((await read(`${reference}#user`)).secret.revealText(), 'backup');
    assert.equal((await read(`${reference}#password`)).secret.revealText(), 'hunter2');
    await assert.rejects(read(`${reference}#port`), (error) => {
      assert.ok(error instanceof BackupError && error.kind === 'key');
      assert.ok(error.message.endsWith(`${reference}#port has no field "port"; its fields: password, user`));
      return !inspect(error).includes('hunter2');
    });
  });
}

function testAbsence(subject: SourceUnderTest, read: Read): void {
  it('fails with key, naming the reference, when there is no such secret', async () => {
    await assert.rejects(read(subject.missing), (error) => {
      assert.ok(error instanceof BackupError);
      assert.equal(error.kind, 'key');
      assert.ok(error.message.includes(subject.missing), error.message);
      return true;
    });
  });

  it('throws the reason of a signal that has been aborted', async () => {
    const reference = await subject.put('value');
    const reason = new Error('enough');
    await assert.rejects(read(reference, AbortSignal.abort(reason)), (error) => error === reason);
    assert.equal((await read(reference)).secret.revealText(), 'value');
  });
}

function testVersions(
  subject: SourceUnderTest,
  putAgain: (reference: string, value: string) => Promise<void>,
  read: Read,
): void {
  it('gives the newest version and says which; asked for a version, it gives exactly that one', async () => {
    const reference = await subject.put('first');
    const first = await read(reference);
    await putAgain(reference, 'second');
    const second = await read(reference);
    assert.equal(second.secret.revealText(), 'second');
    assert.ok(first.version !== undefined && second.version !== undefined);
    assert.notEqual(first.version, second.version);
    for (const [version, value] of [
      [first.version, 'first'],
      [second.version, 'second'],
    ] as const) {
      const again = await read(`${reference}@${version}`);
      assert.equal(again.secret.revealText(), value);
      assert.equal(again.version, version);
    }
  });

  it('fails with key, naming the reference, when there is no such version', async () => {
    const reference = `${await subject.put('first')}@${subject.missingVersion}`;
    await assert.rejects(read(reference), (error) => {
      assert.ok(error instanceof BackupError && error.kind === 'key');
      assert.ok(error.message.includes(reference), error.message);
      return true;
    });
  });
}
