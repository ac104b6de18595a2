import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { CreateAliasCommand, CreateKeyCommand, UpdateAliasCommand } from '@aws-sdk/client-kms';
import {
  CreateSecretCommand,
  DeleteSecretCommand,
  PutSecretValueCommand,
  UpdateSecretVersionStageCommand,
} from '@aws-sdk/client-secrets-manager';
import type { KeyWrapper } from '../../src/core/key-wrapper.ts';
import { Secret } from '../../src/core/secret.ts';
import type { WrappedKey } from '../../src/core/wrapped-key.ts';
import { createDataKey } from '../../src/crypto/data-key.ts';
import { openKeyWrapper } from '../../src/keys/open-key-wrapper.ts';
import { readSecret, type SecretRead } from '../../src/keys/read-secret.ts';
import { isSecret, parseKeyReference, parseSecretReference } from '../../src/keys/secret-reference.ts';
import { FaultProxy } from '../support/fault-proxy.ts';
import {
  checkPermissions,
  makeRestrictedUser,
  makeSecret,
  motoEndpoint,
  motoEnvironment,
  ownerClients,
  region,
  writeProfiles,
} from '../support/moto-server.ts';

async function read(text: string): Promise<SecretRead> {
  return await readSecret(parseSecretReference(text), { env: process.env });
}

async function readText(text: string): Promise<string> {
  return (await read(text)).secret.revealText();
}

async function openWrapper(location: string): Promise<KeyWrapper> {
  const reference = parseKeyReference(`aws-kms:${location}`);
  assert.ok(!isSecret(reference));
  return await openKeyWrapper(reference, { env: process.env });
}

async function makeKey(): Promise<{ arn: string; id: string }> {
  const { KeyMetadata } = await ownerClients().kms.send(new CreateKeyCommand({}));
  return { arn: KeyMetadata?.Arn ?? '', id: KeyMetadata?.KeyId ?? '' };
}

async function makeAlias(keyId: string): Promise<string> {
  const name = `alias/test-${randomUUID()}`;
  await ownerClients().kms.send(new CreateAliasCommand({ AliasName: name, TargetKeyId: keyId }));
  return name;
}

function toHex(secret: Secret | null): string {
  return Buffer.from(secret?.reveal() ?? []).toString('hex');
}

/** Flips a bit of the last byte, which belongs to what is authenticated. */
function altered(wrapped: WrappedKey): WrappedKey {
  const bytes = Buffer.from(wrapped.wrapped, 'base64');
  bytes[bytes.byteLength - 1] = (bytes.at(-1) ?? 0) ^ 1;
  return { ...wrapped, wrapped: bytes.toString('base64') };
}

const environment = await motoEnvironment();
after(async () => await environment[Symbol.asyncDispose]());

describe('a secret of AWS Secrets Manager', () => {
  it('is read by name and by ARN, with the version that came back', async () => {
    const { name, arn } = await makeSecret(' text é\n');
    for (const location of [name, arn]) {
      const { secret, version, warnings } = await read(`aws-sm:${location}`);
      assert.equal(secret.revealText(), ' text é\n');
      assert.match(version ?? '', /^[0-9a-f-]{36}$/);
      assert.deepEqual(warnings, []);
    }
  });

  it('is read from the region of its ARN', async () => {
    const { name, arn } = await makeSecret('here');
    process.env['AWS_REGION'] = 'us-west-2';
    try {
      assert.equal(await readText(`aws-sm:${arn}`), 'here');
      await assert.rejects(read(`aws-sm:${name}`), { kind: 'key', message: /there is no such secret/ });
    } finally {
      process.env['AWS_REGION'] = region;
    }
  });

  it('may be binary', async () => {
    const bytes = Buffer.from([0, 255, 254, 10, 0, 128]);
    const { name } = await makeSecret(bytes);
    assert.deepEqual(Buffer.from((await read(`aws-sm:${name}`)).secret.reveal()), bytes);
  });

  it('may have fields', async () => {
    const { name } = await makeSecret(JSON.stringify({ username: 'librelog', port: 5432 }));
    assert.equal(await readText(`aws-sm:${name}#username`), 'librelog');
    assert.equal(await readText(`aws-sm:${name}#port`), '5432');
    await assert.rejects(read(`aws-sm:${name}#password`), {
      kind: 'key',
      message: `secret aws-sm:${name}#password has no field "password"; its fields: port, username`,
    });
  });

  it('is read in the version asked for, by id or by staging label', async () => {
    const { secrets } = ownerClients();
    const { name } = await makeSecret('first');
    const first = (await read(`aws-sm:${name}`)).version ?? '';
    // Whoever writes a version may choose its id.
    const own = `terraform-${'2'.repeat(26)}`;
    await secrets.send(new PutSecretValueCommand({ SecretId: name, SecretString: 'second', ClientRequestToken: own }));
    await secrets.send(
      new PutSecretValueCommand({ SecretId: name, SecretString: 'next', VersionStages: ['AWSPENDING'] }),
    );
    assert.equal(await readText(`aws-sm:${name}`), 'second');
    assert.equal(await readText(`aws-sm:${name}@${first}`), 'first');
    assert.equal(await readText(`aws-sm:${name}@${own}`), 'second');
    assert.equal(await readText(`aws-sm:${name}@AWSCURRENT`), 'second');
    assert.equal(await readText(`aws-sm:${name}@AWSPENDING`), 'next');
    const previous = await read(`aws-sm:${name}@AWSPREVIOUS`);
    assert.deepEqual([previous.secret.revealText(), previous.version], ['first', first]);

    const label = { SecretId: name, VersionStage: 'audit' };
    await secrets.send(new UpdateSecretVersionStageCommand({ ...label, MoveToVersionId: first }));
    assert.equal(await readText(`aws-sm:${name}@audit`), 'first');
  });

  it('fails with key, naming the reference, when it or its version is missing', async () => {
    const { name } = await makeSecret('value');
    const cases: [string, RegExp][] = [
      ['aws-sm:no/such', /^cannot read secret aws-sm:no\/such: there is no such secret$/],
      [`aws-sm:${name}@${randomUUID()}`, /^cannot read secret aws-sm:.*: the secret has no such version$/],
      [`aws-sm:${name}@AWSPREVIOUS`, /^cannot read secret aws-sm:.*@AWSPREVIOUS: there is no such secret/],
    ];
    for (const [text, message] of cases) await assert.rejects(read(text), { kind: 'key', message }, text);
  });

  it('fails with key when it has no value yet, or is scheduled for deletion', async () => {
    const { secrets } = ownerClients();
    const name = `test/${randomUUID()}`;
    await secrets.send(new CreateSecretCommand({ Name: name }));
    await assert.rejects(read(`aws-sm:${name}`), { kind: 'key', message: /the secret has no such version$/ });
    await secrets.send(new PutSecretValueCommand({ SecretId: name, SecretString: 'value' }));
    await secrets.send(new DeleteSecretCommand({ SecretId: name, RecoveryWindowInDays: 7 }));
    await assert.rejects(read(`aws-sm:${name}`), { kind: 'key', message: /scheduled for deletion$/ });
  });
});

describe('a key of AWS KMS', () => {
  const context = { backupId: '20260101T000000Z-aaaaaa', label: 'librelog' };

  it('wraps a data key and opens it again, by ARN, id or alias', async () => {
    const { arn, id } = await makeKey();
    const alias = await makeAlias(id);
    for (const location of [arn, id, alias, arn.replace(/key\/.*/, alias)]) {
      using wrapper = await openWrapper(location);
      assert.equal(wrapper.name, `aws-kms:${location}`);
      using dataKey = createDataKey();
      const wrapped = await wrapper.wrap(dataKey, context);
      assert.partialDeepStrictEqual(wrapped, { provider: 'aws-kms', keyId: arn, algorithm: 'SYMMETRIC_DEFAULT' });
      // Another process, which has not wrapped.
      using opener = await openWrapper(location);
      assert.deepEqual(toHex(await opener.unwrap(wrapped, context)), toHex(dataKey));
    }
  });

  it('does not open the data key for another backup or label', async () => {
    using wrapper = await openWrapper((await makeKey()).arn);
    const wrapped = await wrapper.wrap(createDataKey(), context);
    for (const other of [{ backupId: `${context.backupId}x` }, { label: 'other' }]) {
      await assert.rejects(wrapper.unwrap(wrapped, { ...context, ...other }), {
        kind: 'integrity',
        message: /^cannot unwrap a data key with aws-kms:.*: the wrapped data key was changed, or belongs to another/,
      });
    }
  });

  it('says integrity when the wrapped key was changed', async () => {
    using wrapper = await openWrapper((await makeKey()).arn);
    const wrapped = await wrapper.wrap(createDataKey(), context);
    for (const changed of [
      altered(wrapped),
      { ...wrapped, wrapped: '' },
      { ...wrapped, wrapped: 'A'.repeat(10_000) },
    ]) {
      await assert.rejects(wrapper.unwrap(changed, context), { kind: 'integrity', message: /was changed/ });
    }
  });

  it('does not let the wrapped key choose the key that opens it', async () => {
    const { arn } = await makeKey();
    using wrapper = await openWrapper(arn);
    using foreign = await openWrapper((await makeKey()).arn);
    const forged = { ...(await foreign.wrap(createDataKey(), context)), keyId: arn };
    // AWS says IncorrectKeyException, this server that access is denied.
    await assert.rejects(wrapper.unwrap(forged, context), {
      kind: 'key',
      message: /cannot unwrap .*: permission denied/,
    });
  });

  it('wraps with the key that its alias stands for now, and opens what the former made by its ARN', async () => {
    const [former, present] = [await makeKey(), await makeKey()];
    const alias = await makeAlias(former.id);
    using early = await openWrapper(alias);
    const wrapped = await early.wrap(createDataKey(), context);
    await ownerClients().kms.send(new UpdateAliasCommand({ AliasName: alias, TargetKeyId: present.id }));
    using late = await openWrapper(alias);
    assert.equal(await late.unwrap(wrapped, context), null);
    assert.partialDeepStrictEqual(await late.wrap(createDataKey(), context), { keyId: present.arn });
    using byArn = await openWrapper(former.arn);
    assert.ok((await byArn.unwrap(wrapped, context)) instanceof Secret);
  });

  it('fails with key when there is no such key or alias', async () => {
    const { arn } = await makeKey();
    const absent = arn.replace(/key\/.*/, `key/${randomUUID()}`);
    for (const location of [absent, randomUUID(), 'alias/absent']) {
      using wrapper = await openWrapper(location);
      const failure = { kind: 'key', message: `cannot wrap a data key with aws-kms:${location}: there is no such key` };
      await assert.rejects(wrapper.wrap(createDataKey(), context), failure);
    }
    using wrapper = await openWrapper('alias/absent');
    const wrapped: WrappedKey = { provider: 'aws-kms', keyId: arn, algorithm: 'SYMMETRIC_DEFAULT', wrapped: 'AAAA' };
    const failure = { kind: 'key', message: /cannot look up key aws-kms:alias\/absent: there is no such key/ };
    await assert.rejects(wrapper.unwrap(wrapped, context), failure);
  });
});

describe('permissions on AWS', () => {
  const context = { backupId: '20260101T000000Z-aaaaaa', label: 'librelog' };
  let secretName = '';
  let keyArn = '';

  /** Makes a user and a role that may do `actions`; whoever runs the test is then the one (`base`) or the other. */
  async function become(
    profile: 'base' | 'backup',
    actions: readonly string[],
    secretAccessKey?: string,
  ): Promise<void> {
    await checkPermissions(false);
    const user = await makeRestrictedUser(actions);
    // The SDK reads a file only once.
    const file = join(environment.folder, randomUUID());
    await writeProfiles(file, { ...user, ...(secretAccessKey !== undefined && { secretAccessKey }) });
    delete process.env['AWS_ACCESS_KEY_ID'];
    delete process.env['AWS_SECRET_ACCESS_KEY'];
    Object.assign(process.env, { AWS_CONFIG_FILE: file, AWS_PROFILE: profile });
    await checkPermissions(true);
  }

  const saved = { ...process.env };
  before(async () => {
    secretName = (await makeSecret('for the role')).name;
    keyArn = (await makeKey()).arn;
  });
  after(async () => {
    process.env = saved;
    await checkPermissions(false);
  });

  it('come from a role that the profile takes on by STS', async () => {
    await become('backup', ['secretsmanager:GetSecretValue']);
    assert.equal(await readText(`aws-sm:${secretName}`), 'for the role');
    await become('base', ['secretsmanager:GetSecretValue']);
    await assert.rejects(read(`aws-sm:${secretName}`), { kind: 'key', message: /: the request was refused/ });
  });

  it('to wrap are enough for a host that makes backups, and those to unwrap for one that restores', async () => {
    await become('backup', ['kms:Encrypt']);
    using wrapper = await openWrapper(keyArn);
    const wrapped = await wrapper.wrap(createDataKey(), context);
    await assert.rejects(wrapper.unwrap(wrapped, context), { kind: 'key', message: /cannot unwrap .* was refused/ });
    await become('backup', ['kms:Decrypt']);
    using opener = await openWrapper(keyArn);
    assert.equal((await opener.unwrap(wrapped, context))?.sizeBytes, 32);
    await assert.rejects(opener.wrap(createDataKey(), context), { kind: 'key', message: /cannot wrap .* was refused/ });
  });

  it('need a request that is signed with the right secret access key', async () => {
    await become('backup', ['secretsmanager:GetSecretValue'], 'wrong');
    await assert.rejects(read(`aws-sm:${secretName}`), { kind: 'key' });
  });
});

describe('the AWS endpoint', () => {
  const context = { backupId: '20260101T000000Z-aaaaaa', label: 'librelog' };
  after(() => {
    process.env['AWS_ENDPOINT_URL'] = motoEndpoint();
    delete process.env['AWS_ENDPOINT_URL_SECRETS_MANAGER'];
  });

  it('may be given for one service alone', async () => {
    const { name } = await makeSecret('value');
    process.env['AWS_ENDPOINT_URL'] = 'http://127.0.0.1:1';
    process.env['AWS_ENDPOINT_URL_SECRETS_MANAGER'] = motoEndpoint();
    assert.equal(await readText(`aws-sm:${name}`), 'value');
    delete process.env['AWS_ENDPOINT_URL_SECRETS_MANAGER'];
    await assert.rejects(read(`aws-sm:${name}`), { kind: 'key', message: /cannot reach the service: .*ECONNREFUSED/ });
  });

  it('may break connections, and go away in the middle: then it fails with key, and works again once it is back', async () => {
    const { arn } = await makeKey();
    await using proxy = await FaultProxy.start(Number(new URL(motoEndpoint()).port));
    process.env['AWS_ENDPOINT_URL'] = proxy.endpoint;
    using wrapper = await openWrapper(arn);
    using dataKey = createDataKey();
    proxy.inject(/^POST /, { kind: 'reset', direction: 'down', afterBytes: 20 });
    const wrapped = await wrapper.wrap(dataKey, context);
    assert.equal(proxy.happenedFaults, 1);
    await proxy.suspend();
    await assert.rejects(wrapper.unwrap(wrapped, context), { kind: 'key', message: /cannot reach the service/ });
    await proxy.resume();
    assert.equal(toHex(await wrapper.unwrap(wrapped, context)), toHex(dataKey));
  });
});
