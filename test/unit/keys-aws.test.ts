import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, beforeEach, describe, it } from 'node:test';
import { inspect } from 'node:util';
import { BackupError } from '../../src/core/backup-error.ts';
import type { KeyWrapper } from '../../src/core/key-wrapper.ts';
import { Secret } from '../../src/core/secret.ts';
import type { WrappedKey } from '../../src/core/wrapped-key.ts';
import { openKeyWrapper } from '../../src/keys/open-key-wrapper.ts';
import { readSecret, type SecretRead } from '../../src/keys/read-secret.ts';
import { isSecret, parseKeyReference, parseSecretReference } from '../../src/keys/secret-reference.ts';
import { AwsJsonDouble, type AwsAnswer, type AwsError, type AwsRequest } from '../support/aws-json-double.ts';
import { ownAwsEnvironment } from '../support/canned-s3.ts';

const context = { backupId: '20260101T000000Z-aaaaaa', label: 'librelog' };
const arn = 'arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab';
const dataKeyBytes = Buffer.alloc(32, 7);
const wrapped: WrappedKey = {
  provider: 'aws-kms',
  keyId: arn,
  algorithm: 'SYMMETRIC_DEFAULT',
  wrapped: Buffer.from('ciphertext').toString('base64'),
};
const theSecret: AwsAnswer = { output: { Name: 'x', VersionId: 'v'.repeat(32), SecretString: 'hunter2' } };

const environment = await ownAwsEnvironment();
const pristine = { ...process.env };
after(async () => await environment[Symbol.asyncDispose]());
beforeEach(() => {
  process.env = { ...pristine, AWS_REGION: 'eu-west-1' };
});

async function startDouble(answer: (request: AwsRequest, index: number) => AwsAnswer): Promise<AwsJsonDouble> {
  const double = await AwsJsonDouble.start(answer);
  process.env['AWS_ENDPOINT_URL'] = double.endpoint;
  return double;
}

async function read(text = 'aws-sm:x', signal?: AbortSignal): Promise<SecretRead> {
  return await readSecret(parseSecretReference(text), { env: process.env, ...(signal !== undefined && { signal }) });
}

async function openWrapper(location = arn, signal?: AbortSignal): Promise<KeyWrapper> {
  const reference = parseKeyReference(`aws-kms:${location}`);
  assert.ok(!isSecret(reference));
  return await openKeyWrapper(reference, { env: process.env, ...(signal !== undefined && { signal }) });
}

/** Answers as KMS does for a key in good order, whose alias is any. */
function kmsAnswer({ target }: AwsRequest): AwsAnswer {
  if (target === 'TrentService.DescribeKey') return { output: { KeyMetadata: { Arn: arn, KeyId: 'id' } } };
  if (target === 'TrentService.Encrypt') return { output: { KeyId: arn, CiphertextBlob: wrapped.wrapped } };
  return { output: { KeyId: arn, Plaintext: dataKeyBytes.toString('base64') } };
}

function targets({ requests }: AwsJsonDouble): string[] {
  return requests.map(({ target }) => target.replace(/^.*\./, ''));
}

async function failureOf(promise: Promise<unknown>): Promise<BackupError> {
  const failure: unknown = await promise.then(
    () => new Error('it did not fail'),
    (error: unknown) => error,
  );
  assert.ok(failure instanceof BackupError, inspect(failure));
  return failure;
}

describe('AWS Secrets Manager', () => {
  it('is asked for the secret by name or ARN, and for the version by id or label', async () => {
    await using double = await startDouble(() => theSecret);
    const secretArn = 'arn:aws-us-gov:secretsmanager:us-gov-west-1:123456789012:secret:a/b-AbCdEf';
    const id = '12345678-1234-1234-1234-123456789012';
    for (const text of ['aws-sm:a/b', `aws-sm:${secretArn}`, `aws-sm:a/b@${id}`, 'aws-sm:a/b@AWSPREVIOUS']) {
      const { secret, version } = await read(text);
      assert.deepEqual([secret.revealText(), version], ['hunter2', 'v'.repeat(32)]);
    }
    assert.deepEqual(
      double.requests.map(({ target, region, input }) => [target, region, input]),
      [
        ['secretsmanager.GetSecretValue', 'eu-west-1', { SecretId: 'a/b' }],
        ['secretsmanager.GetSecretValue', 'us-gov-west-1', { SecretId: secretArn }],
        ['secretsmanager.GetSecretValue', 'eu-west-1', { SecretId: 'a/b', VersionId: id }],
        ['secretsmanager.GetSecretValue', 'eu-west-1', { SecretId: 'a/b', VersionStage: 'AWSPREVIOUS' }],
      ],
    );
  });

  it('is asked with the session token of temporary credentials', async () => {
    await using double = await startDouble(() => theSecret);
    process.env['AWS_SESSION_TOKEN'] = 'token';
    await read();
    assert.equal(double.requests[0]?.sessionToken, 'token');
  });

  it('gets requests signed with the secret access key', async () => {
    await using double = await startDouble(() => theSecret);
    process.env['AWS_SECRET_ACCESS_KEY'] = 'wrong';
    await assert.rejects(read(), { kind: 'key', message: /AWS does not accept the credentials$/ });
    assert.equal(double.requests.length, 0);
  });

  const failures: [AwsError, RegExp, RegExp?][] = [
    [
      { error: 'ResourceNotFoundException', message: "Secrets Manager can't find the specified secret." },
      /no such secret$/,
    ],
    [
      {
        error: 'ResourceNotFoundException',
        message: "Secrets Manager can't find the specified secret value for staging label: AWSPREVIOUS",
      },
      /the secret has no such version$/,
    ],
    [
      {
        error: 'InvalidRequestException',
        message: "You can't perform this operation on the secret because it was marked for deletion.",
      },
      /the secret is scheduled for deletion$/,
    ],
    [{ error: 'DecryptionFailure', message: 'no' }, /cannot decrypt the secret with its KMS key$/, /kms:Decrypt/],
    [
      {
        error: 'AccessDeniedException',
        message:
          'User: arn:aws:iam::1:user/x is not authorized to perform: secretsmanager:GetSecretValue on resource: x',
      },
      /permission denied$/,
      /^Allow the credentials secretsmanager:GetSecretValue\.$/,
    ],
    [
      { error: 'AccessDeniedException', message: 'Access to KMS is not allowed' },
      /permission denied$/,
      /docs\/keys\.md/,
    ],
    [{ error: 'ExpiredTokenException', message: 'The security token included in the request is expired' }, /expired$/],
    [{ error: 'UnrecognizedClientException', message: 'invalid token' }, /AWS does not accept the credentials$/],
    [{ error: 'SomethingNewException', message: 'of tomorrow' }, /: of tomorrow \(SomethingNewException, HTTP 400\)$/],
  ];
  for (const [answer, message, hint = /./] of failures) {
    it(`fails with key: ${message.source} for ${answer.error}`, async () => {
      await using double = await startDouble(() => answer);
      const failure = await failureOf(read());
      assert.equal(failure.kind, 'key');
      assert.match(failure.message, /^cannot read secret aws-sm:x: /);
      assert.match(failure.message, message);
      if (answer.error !== 'SomethingNewException') assert.match(failure.hint ?? '', hint);
      assert.equal(double.requests.length, 1, 'asked once');
    });
  }

  it('is asked again when it throttles or fails, and then answers', async () => {
    const faults: AwsError[] = [
      { error: 'ThrottlingException', message: 'Rate exceeded' },
      { error: 'InternalServiceError', status: 500 },
    ];
    await using double = await startDouble((_, index) => faults[index] ?? theSecret);
    assert.equal((await read()).secret.revealText(), 'hunter2');
    assert.equal(double.requests.length, 3);
  });

  it('fails with key when it keeps failing', async () => {
    await using double = await startDouble(() => ({ error: 'InternalServiceError', status: 500 }));
    await assert.rejects(read(), { kind: 'key', message: 'cannot read secret aws-sm:x: the service has failed' });
    assert.equal(double.requests.length, 5);
  });

  it('fails with config when something else answers, and keeps nothing of the answer', async () => {
    const answers: AwsAnswer[] = [
      { output: {} },
      { foreign: { status: 200, body: 'hunter2' } },
      { foreign: { status: 400, body: '<Error>hunter2</Error>' } },
    ];
    for (const answer of answers) {
      await using _ = await startDouble(() => answer);
      const failure = await failureOf(read());
      assert.equal(failure.kind, 'config');
      assert.match(failure.message, /what answers is not this AWS service$/);
      assert.ok(!inspect(failure, { depth: null, showHidden: true }).includes('hunter2'));
    }
  });

  it('fails with key when a proxy or gateway answers in its place', async () => {
    const cases: [number, RegExp][] = [
      [403, /the request was refused, without an answer of AWS$/],
      [501, /the service has failed$/],
    ];
    for (const [status, message] of cases) {
      await using _ = await startDouble(() => ({ foreign: { status, body: '<html></html>' } }));
      await assert.rejects(read(), { kind: 'key', message });
    }
  });

  it('fails with key when nothing answers, or no credentials are found', async () => {
    process.env['AWS_ENDPOINT_URL'] = 'http://127.0.0.1:1';
    await assert.rejects(read(), { kind: 'key', message: /cannot reach the service: .*ECONNREFUSED/ });
    delete process.env['AWS_ACCESS_KEY_ID'];
    await assert.rejects(read(), { kind: 'key', message: 'cannot read secret aws-sm:x: no AWS credentials found' });
  });

  it('fails with config when the region is not known, or the authorities or the proxy cannot be used', async () => {
    delete process.env['AWS_REGION'];
    await assert.rejects(read(), { kind: 'config', message: /the AWS region is not known$/, hint: /AWS_REGION/ });
    process.env['AWS_REGION'] = 'eu-west-1';
    process.env['AWS_CA_BUNDLE'] = join(environment.folder, 'absent.pem');
    await assert.rejects(read(), { kind: 'config', message: /cannot read the certificate authorities .*no such file/ });
    delete process.env['AWS_CA_BUNDLE'];
    process.env['HTTPS_PROXY'] = 'proxy:3128';
    await assert.rejects(read(), { kind: 'config', message: 'HTTPS_PROXY is not the address of an HTTP proxy' });
  });

  it('is given up at once when the signal aborts, with its reason', async () => {
    const server = createServer(() => {}).listen(0, '127.0.0.1');
    await once(server, 'listening');
    process.env['AWS_ENDPOINT_URL'] = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const reason = new BackupError('interrupted', 'interrupted');
    const controller = new AbortController();
    const reading = failureOf(read('aws-sm:x', controller.signal));
    const [socket] = (await once(server, 'connection')) as [{ destroy(): void }];
    controller.abort(reason);
    assert.equal(await reading, reason);
    assert.equal(await failureOf(read('aws-sm:x', controller.signal)), reason);
    socket.destroy();
    server.close();
  });
});

describe('AWS KMS', () => {
  it('gets the data key with the context of the backup, and its wrapped key with the ARN it named', async () => {
    await using double = await startDouble(kmsAnswer);
    using wrapper = await openWrapper();
    assert.deepEqual(await wrapper.wrap(new Secret(dataKeyBytes), context), wrapped);
    assert.deepEqual(Buffer.from((await wrapper.unwrap(wrapped, context))?.reveal() ?? []), dataKeyBytes);
    const common = {
      KeyId: arn,
      EncryptionAlgorithm: 'SYMMETRIC_DEFAULT',
      EncryptionContext: { 'backup-id': context.backupId, 'backup-label': context.label },
    };
    assert.deepEqual(
      double.requests.map(({ input }) => input),
      [
        { ...common, Plaintext: dataKeyBytes.toString('base64') },
        { ...common, CiphertextBlob: wrapped.wrapped },
      ],
    );
  });

  it('is asked once what an alias stands for, however many keys are unwrapped at once', async () => {
    await using double = await startDouble(kmsAnswer);
    using wrapper = await openWrapper('alias/backup');
    const keys = await Promise.all(Array.from({ length: 4 }, async () => await wrapper.unwrap(wrapped, context)));
    assert.ok(keys.every((key) => key?.sizeBytes === 32));
    assert.equal(await wrapper.unwrap({ ...wrapped, keyId: `${arn}x` }, context), null);
    assert.deepEqual(targets(double).toSorted(), [...Array<string>(4).fill('Decrypt'), 'DescribeKey']);
    assert.ok(double.requests.every(({ target, input }) => !target.endsWith('Decrypt') || input['KeyId'] === arn));
  });

  it('is asked again what an alias stands for after that failed', async () => {
    const denied: AwsError = {
      error: 'AccessDeniedException',
      message: 'is not authorized to perform: kms:DescribeKey',
    };
    await using _ = await startDouble((request, index) => (index === 0 ? denied : kmsAnswer(request)));
    using wrapper = await openWrapper('alias/backup');
    const failure = await failureOf(wrapper.unwrap(wrapped, context));
    assert.deepEqual([failure.kind, failure.hint], ['key', 'Allow the credentials kms:DescribeKey.']);
    assert.equal((await wrapper.unwrap(wrapped, context))?.sizeBytes, 32);
  });

  it('knows its key by ARN or id without asking, a copy of a multi-Region key too, and no other key', async () => {
    const replica = 'arn:aws:kms:us-east-1:123456789012:key/mrk-1234';
    const cases: [string, string, boolean][] = [
      [arn, arn, true],
      ['1234abcd-12ab-34cd-56ef-1234567890ab', arn, true],
      ['34cd-56ef-1234567890ab', arn, false],
      [arn, arn.replace('eu-west-1', 'us-east-1'), false],
      [replica, replica.replace('us-east-1', 'eu-west-1'), true],
      [replica, replica.replace('123456789012', '210987654321'), false],
      ['mrk-1234', replica, true],
    ];
    for (const [location, keyId, isOwn] of cases) {
      await using double = await startDouble(kmsAnswer);
      using wrapper = await openWrapper(location);
      const key = await wrapper.unwrap({ ...wrapped, keyId }, context);
      assert.equal(key !== null, isOwn, `${location} ${keyId}`);
      assert.deepEqual(targets(double), isOwn ? ['Decrypt'] : []);
    }
  });

  const failures: [AwsError, string, RegExp][] = [
    [{ error: 'DisabledException', message: `${arn} is disabled.` }, 'key', /the key is disabled$/],
    [{ error: 'KMSInvalidStateException', message: `${arn} is pending deletion.` }, 'key', /scheduled for deletion$/],
    [{ error: 'KMSInvalidStateException', message: `${arn} is pending import.` }, 'key', /no key material$/],
    [{ error: 'KMSInvalidStateException', message: `${arn} is updating.` }, 'key', /in its present state$/],
    [{ error: 'NotFoundException', message: `Key '${arn}' does not exist` }, 'key', /there is no such key$/],
    [{ error: 'AccessDeniedException', message: '' }, 'key', /permission denied$/],
    [{ error: 'ExpiredTokenException', message: 'expired' }, 'key', /the credentials have expired$/],
    [{ error: 'InvalidKeyUsageException', message: 'no' }, 'key', /not for symmetric encryption$/],
    [{ error: 'ValidationException', message: 'no' }, 'config', /does not take the name/],
    [{ error: 'InvalidCiphertextException' }, 'integrity', /was changed, or belongs to another backup$/],
    [{ error: 'IncorrectKeyException', message: 'no' }, 'integrity', /another key made the wrapped data key/],
  ];
  for (const [answer, kind, message] of failures) {
    it(`fails with ${kind}: ${message.source} for ${answer.error}`, async () => {
      await using double = await startDouble(() => answer);
      using wrapper = await openWrapper();
      const failure = await failureOf(wrapper.unwrap(wrapped, context));
      assert.equal(failure.kind, kind);
      assert.match(failure.message, message);
      assert.ok(failure.message.startsWith(`cannot unwrap a data key with aws-kms:${arn}: `));
      assert.equal(double.requests.length, 1, 'asked once');
    });
  }

  it('is asked again when it throttles, when the key is not available for a moment, and then answers', async () => {
    const faults: AwsError[] = [
      { error: 'ThrottlingException', message: 'Rate exceeded' },
      { error: 'KeyUnavailableException', status: 500 },
      { error: 'DependencyTimeoutException', status: 503 },
    ];
    await using double = await startDouble((request, index) => faults[index] ?? kmsAnswer(request));
    using wrapper = await openWrapper();
    assert.equal((await wrapper.unwrap(wrapped, context))?.sizeBytes, 32);
    assert.equal(double.requests.length, 4);
  });

  it('shows no data key in what it throws', async () => {
    await using _ = await startDouble(() => ({ foreign: { status: 200, body: '{"Plaintext": BwcHBwcHBwc' } }));
    using wrapper = await openWrapper();
    for (const call of [wrapper.unwrap(wrapped, context), wrapper.wrap(new Secret(dataKeyBytes), context)]) {
      assert.ok(!inspect(await failureOf(call), { depth: null, showHidden: true }).includes('BwcHBw'));
    }
  });
});
