import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { aesKey, openStoryTeller, type Story, type StoryTeller } from '../support/story.ts';
import { waitUntil } from '../support/wait-until.ts';

let teller: StoryTeller;
let story: Story;
before(async () => {
  teller = await openStoryTeller();
  await teller.cluster.createDatabase('source');
  await teller.cluster.runSql('source', definitions);
  story = teller.story();
  await story.create('source', `${aesKey} --label single`);
  await story.create('source', `${aesKey} --label streams --jobs 2`);
});
after(async () => await teller[Symbol.asyncDispose]());

/** Rows and an index that wait as long as somebody in their database holds a lock. */
const definitions = `
  CREATE FUNCTION wait_for(gate int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$
    BEGIN PERFORM pg_advisory_xact_lock_shared(gate); RETURN gate; END $$;
  CREATE TABLE gated (n int CHECK (wait_for(1) = 1));
  INSERT INTO gated VALUES (1);
  CREATE INDEX ON gated ((n * wait_for(n + 1)));`;

/** Holds all three: definitions cannot make the function. */
const hold = `BEGIN; LOCK TABLE pg_proc IN SHARE MODE; SELECT pg_advisory_lock(1), pg_advisory_lock(2)`;
const release = {
  definitions: 'COMMIT',
  rows: 'SELECT pg_advisory_unlock(1)',
  indexes: 'SELECT pg_advisory_unlock(2)',
} as const;

/** Gives the program a terminal, of which a copy is in `screen`; its arguments have no blanks. */
const onTerminal = ['sh', '-c', 'exec script --quiet --flush --return --command "$*" screen', 'sh'];

/** What the screen has said it is at, one after another. */
function phases(): string[] {
  const screen = readFileSync(join(story.folder, 'screen'), 'utf8');
  const shown = screen.split('\r\u001B[K').flatMap((line) => /^(\S.*?) {2}/.exec(line)?.[1] ?? []);
  return shown.filter((phase, index) => phase !== shown[index - 1]);
}

const rest = ['indexes, constraints and triggers', [release.indexes]] as const;

describe('a restore with several sessions shows on a terminal what it is at', () => {
  for (const [label, steps] of [
    ['streams', [['definitions', [release.definitions]], ['rows', [release.rows]], rest]],
    ['single', [['definitions and rows', [release.definitions, release.rows]], rest]],
  ] as const) {
    it(`for a backup of this kind: ${label}`, async () => {
      await teller.cluster.createDatabase(label);
      const holder = await teller.cluster.connect(label);
      await holder.query(hold);
      story.write('screen', '');
      const command = `restore --label ${label} ${aesKey} --target ${label} --jobs 2`;
      const run = story.start(command, { wrapper: onTerminal });
      for (const [phase, releases] of steps) {
        await waitUntil(() => phases().at(-1) === phase, `the terminal shows "${phase}"`);
        for (const sql of releases) await holder.query(sql);
      }
      const { code } = await run.ended;
      assert.equal(code, 0, readFileSync(join(story.folder, 'screen'), 'utf8'));
      await holder.end();
      // The first thing it says, in the moment before it begins.
      const afterStart = phases().filter((phase) => phase !== 'restoring');
      assert.deepEqual(
        afterStart,
        steps.map(([phase]) => phase),
      );
    });
  }
});
