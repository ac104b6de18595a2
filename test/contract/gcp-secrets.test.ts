import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, afterEach, beforeEach, describe, it } from 'node:test';
import { readSecret, type SecretAccess, type SecretRead } from '../../src/keys/read-secret.ts';
import { parseSecretReference } from '../../src/keys/secret-reference.ts';
import { assertFails } from '../support/assert-key-failure.ts';
import { googleError } from '../support/gcp-rest-double.ts';
import { GcpSecretsDouble } from '../support/gcp-secrets-double.ts';
import { ownGoogleEnvironment } from '../support/google-environment.ts';

const environment = await ownGoogleEnvironment();
after(async () => await environment[Symbol.asyncDispose]());

const throttled = googleError('RESOURCE_EXHAUSTED', 'Quota exceeded for quota metric.');

describe('a secret of Google Secret Manager', () => {
  let double: GcpSecretsDouble;

  beforeEach(async () => {
    double = await GcpSecretsDouble.start(environment.folder);
    process.env['GOOGLE_APPLICATION_CREDENTIALS'] = double.rest.keyFile;
  });
  afterEach(async () => await double[Symbol.asyncDispose]());

  async function read(location: string, access: Partial<SecretAccess> = {}): Promise<SecretRead> {
    const env = { LIBRELOG_BACKUP_GCP_SECRETS_ENDPOINT: double.rest.endpoint };
    return await readSecret(parseSecretReference(`gcp-sm:test-project/${location}`), { env, ...access });
  }

  it('is read whole, bytes and all, with its version', async () => {
    const bytes = randomBytes(32);
    double.add('aes', 'old');
    double.add('aes', bytes);
    const newest = await read('aes');
    assert.deepEqual(Buffer.from(newest.secret.reveal()), bytes);
    assert.equal(newest.version, '2');
    assert.deepEqual(newest.warnings, []);
    assert.equal(double.rest.requests[0]?.path, '/v1/projects/test-project/secrets/aes/versions/latest:access');
    const first = await read('aes@1');
    assert.equal(first.secret.revealText(), 'old');
    assert.equal(first.version, '1');
    assert.equal((await read('aes@latest')).version, '2');
  });

  it('gives a field', async () => {
    double.add('keys', JSON.stringify({ aes: 'value', other: 'more' }));
    const { secret, version } = await read('keys#aes@1');
    assert.equal(secret.revealText(), 'value');
    assert.equal(version, '1');
    await assertFails(read('keys#none'), { kind: 'key', message: /has no field "none"; its fields: aes, other/ }, [
      'value',
    ]);
  });

  it('says so when secret, version or permission is missing, or the version cannot be read', async () => {
    const version = double.add('aes', 'value-of-it');
    const missing = { kind: 'key', message: /^cannot read secret gcp-sm:test-project\/\S+: there is no such secret/ };
    await assertFails(read('none'), missing);
    await assertFails(read('aes@7'), missing);
    version.state = 'DISABLED';
    await assertFails(read('aes'), { kind: 'key', message: /version 1 of the secret is disabled/, hint: /^Enable/ });
    version.state = 'DESTROYED';
    await assertFails(read('aes@1'), {
      kind: 'key',
      message: /version 1 of the secret is destroyed/,
      hint: /enabled\.$/,
    });
    double.isPermitted = false;
    await assertFails(read('aes'), { kind: 'key', message: /permission denied/, hint: /Secret Accessor/ });
    double.rest.forgetAccount();
    await assertFails(read('aes'), { kind: 'key', message: /does not accept the credentials/ });
    await assertFails(read('aes@1.5'), { kind: 'config', message: /neither a number nor an alias/ });
  });

  it('says when its newest version was made, where the account may look at it', async () => {
    const { createTime } = double.add('aes', 'value-of-it');
    assert.deepEqual((await read('aes')).createdAt, new Date(createTime));
    assert.equal((await read('aes@1')).createdAt, undefined, 'nobody asks for the age of what only opens');
    double.isAdministrator = false;
    const { secret, createdAt } = await read('aes');
    assert.deepEqual([secret.revealText(), createdAt], ['value-of-it', undefined]);
  });

  it('is not taken when it is empty', async () => {
    double.add('aes', '');
    await assertFails(read('aes'), { kind: 'key', message: /secret gcp-sm:test-project\/aes is empty/ });
  });

  it('is asked for again when the answer is throttled or damaged', async () => {
    double.add('aes', 'value-of-it');
    double.rest.failures.push(throttled);
    double.damaged = 1;
    assert.equal((await read('aes@1')).secret.revealText(), 'value-of-it');
    assert.equal(double.rest.requests.length, 3);
    double.damaged = 5;
    await assertFails(read('aes'), { kind: 'integrity', message: /does not fit its checksum/ }, ['value-of-it']);
  });

  it('does not get into the error of an answer that is no JSON', async () => {
    double.rest.failures.push({ status: 200, body: '"value-of-it' });
    await assertFails(read('aes'), { kind: 'config', message: /what answers is not Secret Manager/ }, ['value-of-it']);
  });

  it('says key when the service is down', async () => {
    await double[Symbol.asyncDispose]();
    await assertFails(read('aes'), { kind: 'key', message: /cannot reach the service/, hint: /network/ });
  });

  it('is given up at once when the signal says so', async () => {
    const reason = new Error('interrupted');
    await assert.rejects(read('aes', { signal: AbortSignal.abort(reason) }), (error) => error === reason);
    double.rest.failures.push('hang');
    const signal = AbortSignal.timeout(200);
    await assert.rejects(read('aes', { signal }), (error) => error === signal.reason);
  });
});
