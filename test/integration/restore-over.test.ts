import { after, before, describe, it } from 'node:test';
import { assertSameDatabase } from '../support/database-difference.ts';
import { fingerprintDatabase } from '../support/database-fingerprint.ts';
import { createSampleDatabase, createSmallDatabase } from '../support/sample-database.ts';
import { aesKey, openStoryTeller, type StoryTeller } from '../support/story.ts';

describe('restore --clean', () => {
  let teller: StoryTeller;

  before(async () => {
    teller = await openStoryTeller();
  });

  after(async () => {
    await teller[Symbol.asyncDispose]();
  });

  for (const format of ['custom', 'plain']) {
    it(`brings the most awkward database back over itself and over another, ${format} format`, async () => {
      const { cluster } = teller;
      const story = teller.story();
      const source = `source_${format}`;
      await createSampleDatabase(cluster, source);
      const original = await fingerprintDatabase(cluster, source);
      await story.succeed(`create --database ${source} --format ${format} ${aesKey}`);

      await cluster.runSql(source, 'CREATE SCHEMA since; CREATE TABLE since.then (id int); SELECT lo_create(4711)');
      await story.succeed(`restore --target ${source} --clean ${aesKey}`);
      assertSameDatabase(await fingerprintDatabase(cluster, source), original);

      await createSmallDatabase(cluster, story.target);
      await story.succeed(`restore --target ${story.target} --clean ${aesKey}`);
      assertSameDatabase(await fingerprintDatabase(cluster, story.target), original);
    });
  }
});
