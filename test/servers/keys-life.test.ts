import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import type { ListedKey } from '../../src/backup/list-keys.ts';
import { assertFailure } from '../support/cli-assertions.ts';
import { motoEndpoint, region } from '../support/moto-server.ts';
import { createSmallDatabase } from '../support/sample-database.ts';
import { openStoryTeller, type Story, type StoryTeller } from '../support/story.ts';
import { administer, mount, server } from '../support/vault-server.ts';

const kv = await mount('kv-v2');
const transit = await mount('transit');
const namespace = `team-${randomUUID()}`;
await administer(['POST', `sys/namespaces/${namespace}`], {});
const inNamespace = await mount('transit', { namespace });

type Variables = Readonly<Record<string, string>>;

const vault: Variables = { VAULT_ADDR: server.address, VAULT_TOKEN: server.rootToken };
const aws: Variables = {
  AWS_ENDPOINT_URL: motoEndpoint(),
  AWS_REGION: region,
  AWS_ACCESS_KEY_ID: 'owner',
  AWS_SECRET_ACCESS_KEY: 'owner',
};

let teller: StoryTeller;
before(async () => {
  teller = await openStoryTeller();
  await createSmallDatabase(teller.cluster, 'small', { scale: 100 });
});
after(async () => await teller[Symbol.asyncDispose]());

/** A story whose key has two versions, and a backup of each. */
interface Rotated {
  readonly story: Story;
  readonly reference: string;
  readonly env: Variables;
  readonly first: string;
  readonly second: string;
}

async function rotate(reference: string, env: Variables): Promise<Rotated> {
  const story = teller.story();
  await story.succeed(`keys generate aes-256 --to-key ${reference}`, { env });
  const { id: first } = await story.create('small', `--key ${reference}`, { env });
  await story.succeed(`keys rotate aes-256 --key ${reference}`, { env });
  const { id: second } = await story.create('small', `--key ${reference}`, { env });
  return { story, reference, env, first, second };
}

async function list({ story, reference, env }: Rotated): Promise<readonly ListedKey[]> {
  return (await story.ask<{ keys: ListedKey[] }>(`keys list --key ${reference}`, { env })).keys;
}

/** What is needed of each key: its state, how many backups it opens, and how many of them nothing else does. */
function needsOf(keys: readonly ListedKey[]): unknown[] {
  return keys.map(({ state, backups, onlyKeyOf }) => [state, backups, onlyKeyOf]);
}

async function shred({ story, reference, env }: Rotated, version: string, more = ''): ReturnType<Story['run']> {
  return await story.run(`keys shred --key ${reference} --key-version ${version} ${more}`, { env });
}

async function assertOpens({ story, reference, env }: Rotated, id: string): Promise<void> {
  await story.succeed(`verify ${id} --level decrypt --key ${reference}`, { env });
}

async function assertRestores({ story, reference, env }: Rotated, id: string): Promise<void> {
  await story.succeed(`restore ${id} --output ${id}.dump --key ${reference}`, { env });
}

async function assertLost({ story, reference, env }: Rotated, id: string): Promise<void> {
  const run = await story.run(`restore ${id} --output ${id}.dump --key ${reference}`, { env });
  assertFailure(run, { code: 30, message: /version 1 /, hint: null });
}

const places = [
  // What a destroyed secret was cannot be known, so that its backup needs a key that nobody has named.
  {
    place: 'a Vault secret',
    newReference: () => `vault:${kv}/${randomUUID()}#key`,
    env: vault,
    needs: [
      ['destroyed', null, null],
      ['active', 1, 1],
      ['unknown', 1, 1],
    ],
  },
  {
    place: 'Vault transit',
    newReference: () => `vault-transit:${transit}/${randomUUID()}`,
    env: vault,
    needs: [
      ['destroyed', 1, 1],
      ['active', 1, 1],
    ],
  },
  {
    place: 'Vault transit in a namespace',
    newReference: () => `vault-transit:${inNamespace}/${randomUUID()}`,
    env: { ...vault, VAULT_NAMESPACE: namespace },
    needs: [
      ['destroyed', 1, 1],
      ['active', 1, 1],
    ],
  },
] as const;

for (const { place, newReference, env, needs } of places) {
  describe(`the life of a key in ${place}`, () => {
    it('ends with the backups of one version, which are said first, and no others', async () => {
      const rotated = await rotate(newReference(), env);
      const { first, second } = rotated;
      assert.deepEqual(needsOf(await list(rotated)), [
        ['retired', 1, 1],
        ['active', 1, 1],
      ]);
      const asked = await shred(rotated, '1');
      assert.equal(asked.code, 2, asked.stderr);
      assert.match(asked.stderr, new RegExp(`^1 backups will be lost for good:\\n  small/${first} in file:`, 'm'));
      assert.ok(!asked.stderr.includes(second), asked.stderr);
      assert.match(asked.stderr, /nobody is there to confirm/);
      assert.match((await shred(rotated, '1', '--confirm yes')).stderr, /not confirmed: nothing was done/);
      await assertOpens(rotated, first);

      const { code, stderr } = await shred(rotated, '1', '--confirm 1');
      assert.equal(code, 0, stderr);
      await assertLost(rotated, first);
      await assertRestores(rotated, second);
      assert.deepEqual(needsOf(await list(rotated)), needs);
    });
  });
}

describe('a key whose backups are all wrapped anew', () => {
  for (const reference of [`vault:${kv}/rewrapped#key`, `vault-transit:${transit}/rewrapped`]) {
    it(`loses its old version in ${reference.slice(0, reference.indexOf(':'))} without any of them`, async () => {
      const rotated = await rotate(reference, vault);
      const { story, first, second } = rotated;
      await story.succeed(`keys rewrap --key ${reference} --to-key ${reference} --yes`, { env: vault });
      assert.deepEqual(needsOf(await list(rotated)), [
        ['retired', 0, 0],
        ['active', 2, 2],
      ]);
      const { code, stderr } = await shred(rotated, '1', '--confirm 1');
      assert.equal(code, 0, stderr);
      assert.match(stderr, /^0 backups will be lost for good$/m);
      for (const id of [first, second]) await assertOpens(rotated, id);
    });
  }
});

describe('the life of a key in AWS Secrets Manager', () => {
  it('goes on with all versions, since one cannot be destroyed', async () => {
    const rotated = await rotate(`aws-sm:test/${randomUUID()}#key`, aws);
    const { story, reference, first, second } = rotated;
    const keys = await list(rotated);
    assert.deepEqual(needsOf(keys), [
      ['retired', 1, 1],
      ['active', 1, 1],
    ]);
    const version = keys[0]?.version ?? '';
    const refused = await shred(rotated, version, `--confirm ${version}`);
    assert.equal(refused.code, 2);
    assert.match(refused.stderr, new RegExp(`^1 backups will be lost for good:\\n  small/${first} in file:`, 'm'));
    assert.match(refused.stderr, /one version of aws-sm:\S+ cannot be destroyed in this service/);
    assert.match(refused.stderr, /^HINT: Remove its staging labels/m);
    for (const id of [first, second]) await assertOpens(rotated, id);
    await story.succeed(`keys rewrap --key ${reference} --to-key ${reference} --yes`, { env: aws });
    assert.deepEqual(needsOf(await list(rotated)), [
      ['retired', 0, 0],
      ['active', 2, 2],
    ]);
  });
});

describe('the life of a key of AWS KMS', () => {
  it('ends with the backups of all its versions, which nobody can tell apart', async () => {
    const rotated = await rotate(`aws-kms:alias/test-${randomUUID()}`, aws);
    const { story, first, second } = rotated;
    const [key, ...others] = await list(rotated);
    assert.deepEqual([key?.state, key?.backups, key?.onlyKeyOf, others.length], ['active', 2, 2, 0]);
    const arn = key?.keyId ?? '';
    assertFailure(await shred(rotated, arn, `--confirm ${arn}`), { code: 65, message: /the last backups of "small"/ });
    const { id: kept } = await story.create('small');
    const asked = await shred(rotated, arn);
    assert.equal(asked.code, 2, asked.stderr);
    assert.match(
      asked.stderr,
      new RegExp(`^2 backups will be lost for good:\\n  small/${first} .*\\n  small/${second} `, 'm'),
    );
    assert.ok(!asked.stderr.includes(kept), asked.stderr);
    const { code, stderr } = await shred(rotated, arn, `--confirm ${arn}`);
    assert.equal(code, 0, stderr);
    const [destroyed] = await list(rotated);
    assert.deepEqual([destroyed?.state, destroyed?.backups, destroyed?.onlyKeyOf], ['destroyed', 2, 2]);
  });
});
