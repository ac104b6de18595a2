import { randomUUID } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import {
  assertComesBack,
  openEveryKind,
  passagesThrough,
  type DatabaseUnderTest,
} from '../support/database-under-test.ts';
import { bucket, makeBucket, s3Surroundings } from '../support/s3-server.ts';

let everyKind: DatabaseUnderTest;
before(async () => {
  await makeBucket();
  everyKind = await openEveryKind();
});
after(async () => await everyKind[Symbol.asyncDispose]());

describe('the database with an object of every kind, through S3', () => {
  for (const passage of passagesThrough('s3')) {
    it(`comes back identical: ${passage.encryption}, jobs ${passage.jobs}`, async () => {
      const env = { ...s3Surroundings(), LIBRELOG_BACKUP_STORE: `s3://${bucket}/${randomUUID()}` };
      await assertComesBack(everyKind, { ...passage, env });
    });
  }
});
