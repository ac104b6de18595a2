import { createHash, createHmac } from 'node:crypto';
import { PutBucketPolicyCommand } from '@aws-sdk/client-s3';
import { s3Endpoint, s3ServerName } from './s3-server.ts';
import type { ThrowawayBucket } from './s3-throwaway-bucket.ts';

interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken: string;
}

/**
 * Runs `use` with rights to everything but `denied` (`s3:PutObject`, …) in a bucket. Ceph heeds a policy of the bucket
 * also for its owner; MinIO does not, and gives temporary credentials of fewer rights instead.
 */
export async function withoutRights(
  made: ThrowawayBucket,
  denied: readonly string[],
  use: () => Promise<void>,
): Promise<void> {
  const resources = [`arn:aws:s3:::${made.name}`, `arn:aws:s3:::${made.name}/*`];
  if (s3ServerName() === 'ceph-rgw') {
    const deny = { Effect: 'Deny', Principal: { AWS: ['*'] }, Action: denied, Resource: resources };
    await setPolicy(made, deny);
    await use();
    return await setPolicy(made, { ...deny, Action: ['s3:PutBucketLogging'] });
  }
  const saved = { ...process.env };
  const credentials = await assumeRole([
    { Effect: 'Allow', Action: ['s3:*'], Resource: ['arn:aws:s3:::*'] },
    { Effect: 'Deny', Action: denied, Resource: resources },
  ]);
  process.env['AWS_ACCESS_KEY_ID'] = credentials.accessKeyId;
  process.env['AWS_SECRET_ACCESS_KEY'] = credentials.secretAccessKey;
  process.env['AWS_SESSION_TOKEN'] = credentials.sessionToken;
  try {
    await use();
  } finally {
    process.env = saved;
  }
}

async function setPolicy(made: ThrowawayBucket, statement: object): Promise<void> {
  const Policy = JSON.stringify({ Version: '2012-10-17', Statement: [statement] });
  await made.client.send(new PutBucketPolicyCommand({ Bucket: made.name, Policy }));
}

/** MinIO's AssumeRole, signed by hand: "Signature Version 4" of the AWS documentation. */
async function assumeRole(statements: readonly object[]): Promise<Credentials> {
  const Policy = JSON.stringify({ Version: '2012-10-17', Statement: statements });
  const body = new URLSearchParams({ Action: 'AssumeRole', Version: '2011-06-15', Policy }).toString();
  const { host } = new URL(s3Endpoint());
  const time = new Date().toISOString().replace(/[-:]|\.\d+/g, '');
  const scope = `${time.slice(0, 8)}/us-east-1/sts/aws4_request`;
  const names = 'content-type;host;x-amz-date';
  const type = 'application/x-www-form-urlencoded';
  const head = `content-type:${type}\nhost:${host}\nx-amz-date:${time}\n`;
  const canonical = ['POST', '/', '', head, names, sha256(body)].join('\n');
  let key: Buffer = Buffer.from(`AWS4${process.env['AWS_SECRET_ACCESS_KEY']}`);
  for (const part of scope.split('/')) key = createHmac('sha256', key).update(part).digest();
  const text = ['AWS4-HMAC-SHA256', time, scope, sha256(canonical)].join('\n');
  const signature = createHmac('sha256', key).update(text).digest('hex');
  const credential = `${process.env['AWS_ACCESS_KEY_ID']}/${scope}`;
  const authorization = `AWS4-HMAC-SHA256 Credential=${credential}, SignedHeaders=${names}, Signature=${signature}`;
  const headers = { 'content-type': type, 'x-amz-date': time, authorization };
  const answer = await fetch(s3Endpoint(), { method: 'POST', headers, body });
  const xml = await answer.text();
  const field = (name: string): string =>
    new RegExp(`<${name}>([^<]+)<`).exec(xml)?.[1] ?? fail(`no ${name} in the answer ${answer.status}: ${xml}`);
  return {
    accessKeyId: field('AccessKeyId'),
    secretAccessKey: field('SecretAccessKey'),
    sessionToken: field('SessionToken'),
  };
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

function fail(message: string): never {
  throw new Error(message);
}
