import assert from 'node:assert/strict';
import { after, beforeEach, describe, it } from 'node:test';
import { inspect } from 'node:util';
import { BackupError } from '../../src/core/backup-error.ts';
import type { KeyAdmin } from '../../src/keys/key-admin.ts';
import { openKeyAdmin } from '../../src/keys/open-key-admin.ts';
import { openKeyWrapper } from '../../src/keys/open-key-wrapper.ts';
import { parseKeyReference, type WrapperReference } from '../../src/keys/secret-reference.ts';
import { AwsJsonDouble, type AwsAnswer, type AwsRequest } from '../support/aws-json-double.ts';
import { ownAwsEnvironment } from '../support/canned-s3.ts';

const environment = await ownAwsEnvironment();
const pristine = { ...process.env };
after(async () => await environment[Symbol.asyncDispose]());
beforeEach(() => {
  process.env = { ...pristine, AWS_REGION: 'eu-west-1' };
});

/** Answers by the name of the operation; a list of answers in their order, the last one for all that follow. */
async function startDouble(answers: Readonly<Record<string, AwsAnswer | AwsAnswer[]>>): Promise<AwsJsonDouble> {
  const double = await AwsJsonDouble.start(({ target }) => {
    const { [operationOf(target)]: answer } = answers;
    const found = Array.isArray(answer) ? (answer.length > 1 ? answer.shift() : answer[0]) : answer;
    return found ?? { error: 'UnknownOperationException', status: 404 };
  });
  process.env['AWS_ENDPOINT_URL'] = double.endpoint;
  return double;
}

function operationOf(target: string): string {
  return target.replace(/^.*\./, '');
}

function summaryOf({ requests }: AwsJsonDouble): [string, AwsRequest['input']][] {
  return requests.map(({ target, input }) => [operationOf(target), input]);
}

async function open(text: string): Promise<KeyAdmin> {
  return await openKeyAdmin(parseKeyReference(text), { env: process.env });
}

async function failureOf(promise: Promise<unknown>): Promise<BackupError> {
  const failure: unknown = await promise.then(
    () => new Error('it did not fail'),
    (error: unknown) => error,
  );
  assert.ok(failure instanceof BackupError, inspect(failure));
  return failure;
}

const notFound: AwsAnswer = { error: 'NotFoundException', message: 'Alias is not found.' };
const denied: AwsAnswer = {
  error: 'AccessDeniedException',
  message: 'not authorized to perform: kms:ListKeyRotations',
};

describe('the versions of a key in AWS Secrets Manager', () => {
  const ids = ['a', 'b', 'c'].map((letter) => letter.repeat(32));
  const key = Buffer.alloc(32, 1).toString('base64');

  it('are asked for page by page, also those without a label, and come oldest first', async () => {
    const [one, two, three] = ids.map((VersionId, index) => ({ VersionId, CreatedDate: 1_700_000_000 + index }));
    await using double = await startDouble({
      ListSecretVersionIds: [
        { output: { Versions: [{ ...three, VersionStages: ['AWSCURRENT'] }, two], NextToken: 'more' } },
        { output: { Versions: [one] } },
      ],
      GetSecretValue: { output: { SecretString: key, VersionId: ids[0] } },
    });
    using admin = await open('aws-sm:x');
    const listed = await admin.list();
    assert.deepEqual(
      listed.map(({ version, state }) => [version, state]),
      [
        [ids[0], 'retired'],
        [ids[1], 'retired'],
        [ids[2], 'active'],
      ],
    );
    for (const { createdAt } of listed) assert.deepEqual(createdAt, new Date(1_700_000_000_000), 'one key, one age');
    const page = { SecretId: 'x', IncludeDeprecated: true, MaxResults: 100 };
    assert.deepEqual(summaryOf(double), [
      ['ListSecretVersionIds', page],
      ['ListSecretVersionIds', { ...page, NextToken: 'more' }],
      ...ids.map((VersionId) => ['GetSecretValue', { SecretId: 'x', VersionId }]),
    ]);
  });

  it('are written once, however often that has to be tried', async () => {
    await using double = await startDouble({
      GetSecretValue: { output: { SecretString: key, VersionId: ids[0] } },
      PutSecretValue: [
        { error: 'InternalServiceError', status: 500 },
        { error: 'ThrottlingException', message: 'Rate exceeded' },
        { output: { VersionId: ids[1], VersionStages: ['AWSCURRENT'] } },
      ],
    });
    using admin = await open('aws-sm:x');
    assert.equal((await admin.rotate()).version, ids[1]);
    const [, ...puts] = double.requests.map(({ input }) => input);
    assert.equal(puts.length, 3);
    for (const put of puts) assert.deepEqual(put, puts[0], 'the same value and token');
    assert.match(String(puts[0]?.['ClientRequestToken']), /^[0-9a-f-]{36}$/);
    assert.equal(puts[0]?.['VersionStages'], undefined, 'AWSCURRENT moves');
  });

  it('say key with the permission that is lacking, and show no new key', async () => {
    const message = 'User: x is not authorized to perform: secretsmanager:PutSecretValue on resource: y';
    await using double = await startDouble({
      GetSecretValue: { output: { SecretString: key, VersionId: ids[0] } },
      PutSecretValue: { error: 'AccessDeniedException', message },
    });
    using admin = await open('aws-sm:x');
    const failure = await failureOf(admin.rotate());
    assert.equal(failure.kind, 'key');
    assert.equal(failure.hint, 'Allow the credentials secretsmanager:PutSecretValue.');
    const value = String(double.requests[1]?.input['SecretString']);
    assert.equal(value.length, 44);
    assert.ok(!inspect(failure, { depth: null, showHidden: true }).includes(value));
  });
});

describe('the life of a key of AWS KMS', () => {
  const arn = 'arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab';
  const madeAt = 1_700_000_000;
  const facts = { Arn: arn, KeyId: '1234abcd-12ab-34cd-56ef-1234567890ab', CreationDate: madeAt, KeyState: 'Enabled' };
  const key: AwsAnswer = { output: { KeyMetadata: facts } };
  const alias = 'aws-kms:alias/backup';

  it('is as long as the last of all its rotations ago', async () => {
    const rotation = (RotationDate: number) => ({ KeyId: facts.KeyId, RotationDate, RotationType: 'ON_DEMAND' });
    await using double = await startDouble({
      DescribeKey: key,
      ListKeyRotations: [
        { output: { Rotations: [rotation(madeAt + 20), rotation(madeAt + 10)], Truncated: true, NextMarker: 'm' } },
        { output: { Rotations: [rotation(madeAt + 30)], Truncated: false } },
      ],
    });
    using admin = await open(alias);
    assert.deepEqual(await admin.list(), [{ keyId: arn, createdAt: new Date((madeAt + 30) * 1000), state: 'active' }]);
    assert.deepEqual(summaryOf(double), [
      ['DescribeKey', { KeyId: 'alias/backup' }],
      ['ListKeyRotations', { KeyId: arn }],
      ['ListKeyRotations', { KeyId: arn, Marker: 'm' }],
    ]);
  });

  const ages: [string, AwsAnswer, Date | null][] = [
    ['is not known where nobody may see its rotations', denied, null],
    ['is that of the key when it was never rotated', { output: { Rotations: [] } }, new Date(madeAt * 1000)],
    [
      'is that of the key when it cannot be rotated',
      { error: 'UnsupportedOperationException', message: 'no' },
      new Date(madeAt * 1000),
    ],
  ];
  for (const [sentence, rotations, expected] of ages) {
    it(sentence, async () => {
      await using _ = await startDouble({ DescribeKey: key, ListKeyRotations: rotations });
      using admin = await open(alias);
      const [version] = await admin.list();
      assert.deepEqual(version?.createdAt, expected);
      using wrapper = await openKeyWrapper(parseKeyReference(alias) as WrapperReference, { env: process.env });
      assert.deepEqual(await wrapper.createdAt?.(), expected);
    });
  }

  for (const [KeyState, state] of [
    ['Enabled', 'active'],
    ['Disabled', 'disabled'],
    ['PendingImport', 'disabled'],
    ['Unavailable', 'disabled'],
    ['PendingDeletion', 'destroyed'],
    ['PendingReplicaDeletion', 'destroyed'],
  ] as const) {
    it(`is ${state} when KMS says ${KeyState}`, async () => {
      const output = { KeyMetadata: { ...facts, KeyState } };
      await using _ = await startDouble({ DescribeKey: { output }, ListKeyRotations: { output: {} } });
      using admin = await open(alias);
      assert.deepEqual(
        (await admin.list()).map((version) => version.state),
        [state],
      );
    });
  }

  it('begins with an alias, also when the answer to that was lost', async () => {
    await using double = await startDouble({
      DescribeKey: [notFound, key],
      CreateKey: key,
      CreateAlias: [
        { error: 'KMSInternalException', status: 500 },
        { error: 'AlreadyExistsException', message: 'no' },
      ],
    });
    using admin = await open(alias);
    assert.equal((await admin.generate()).keyId, arn);
    const made = double.requests.find(({ target }) => operationOf(target) === 'CreateKey');
    assert.partialDeepStrictEqual(made?.input, { KeySpec: 'SYMMETRIC_DEFAULT', KeyUsage: 'ENCRYPT_DECRYPT' });
    assert.ok(!double.requests.some(({ target }) => target.endsWith('ScheduleKeyDeletion')));
  });

  it('ends before it begins when the alias is not allowed, or another was faster', async () => {
    const others = { output: { KeyMetadata: { ...facts, Arn: `${arn}0` } } };
    const cases: [AwsAnswer, string][] = [
      [{ error: 'AccessDeniedException', message: 'not authorized to perform: kms:CreateAlias' }, 'key'],
      [{ error: 'AlreadyExistsException', message: 'no' }, 'conflict'],
    ];
    for (const [CreateAlias, kind] of cases) {
      const ScheduleKeyDeletion: AwsAnswer = { output: { KeyId: arn } };
      await using double = await startDouble({
        DescribeKey: [notFound, others],
        CreateKey: key,
        CreateAlias,
        ScheduleKeyDeletion,
      });
      using admin = await open(alias);
      assert.equal((await failureOf(admin.generate())).kind, kind);
      assert.deepEqual(summaryOf(double).at(-1), [
        'ScheduleKeyDeletion',
        { KeyId: facts.KeyId, PendingWindowInDays: 7 },
      ]);
    }
  });

  it('leaves a key behind only when it must, and says which', async () => {
    await using _ = await startDouble({
      DescribeKey: notFound,
      CreateKey: key,
      CreateAlias: { error: 'AccessDeniedException', message: 'no' },
      ScheduleKeyDeletion: { error: 'AccessDeniedException', message: 'no' },
    });
    using admin = await open(alias);
    const { message, hint } = await failureOf(admin.generate());
    assert.equal(message, `cannot make alias ${alias}: permission denied`);
    assert.ok(hint?.startsWith(`Delete the key ${arn}, `));
  });

  const refusals: [AwsAnswer, string, RegExp][] = [
    [{ error: 'LimitExceededException', message: 'limit' }, 'key', /KMS rotates it on demand no more$/],
    [{ error: 'ConflictException', message: 'in progress' }, 'conflict', /is being rotated already$/],
    [{ error: 'UnsupportedOperationException', message: 'no' }, 'usage', /does not do that with a key of this kind$/],
    [{ error: 'DisabledException', message: 'no' }, 'key', /the key is disabled$/],
  ];
  for (const [RotateKeyOnDemand, kind, message] of refusals) {
    it(`goes on as before: ${message.source}`, async () => {
      await using double = await startDouble({
        DescribeKey: key,
        ListKeyRotations: { output: { Rotations: [] } },
        RotateKeyOnDemand,
      });
      using admin = await open(alias);
      const failure = await failureOf(admin.rotate());
      assert.equal(failure.kind, kind);
      assert.match(failure.message, message);
      assert.deepEqual(summaryOf(double).at(-1), ['RotateKeyOnDemand', { KeyId: arn }]);
    });
  }

  it('has a rotation that KMS has not done yet, of which there is no date', async () => {
    await using _ = await startDouble({
      DescribeKey: key,
      ListKeyRotations: { output: { Rotations: [] } },
      RotateKeyOnDemand: { output: { KeyId: arn } },
    });
    using admin = await open(alias);
    assert.deepEqual(await admin.rotate(), { keyId: arn, createdAt: null, state: 'active' });
  });

  it('ends after thirty days in which one may think better of it', async () => {
    await using double = await startDouble({ DescribeKey: key, ScheduleKeyDeletion: { output: { KeyId: arn } } });
    using admin = await open(alias);
    await admin.destroy({ keyId: arn, createdAt: null, state: 'active' });
    assert.deepEqual(summaryOf(double).at(-1), [
      'ScheduleKeyDeletion',
      { KeyId: facts.KeyId, PendingWindowInDays: 30 },
    ]);
  });
});
