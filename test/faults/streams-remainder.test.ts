import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { assertFailure, assertNoSession, assertNothingBelow } from '../support/cli-assertions.ts';
import { makeGatedTools, type GatedTools } from '../support/gated-tools.ts';
import { aesKey, openStoryTeller, type StoryTeller } from '../support/story.ts';
import { createPlainStreamsDatabase, streamTables } from '../support/streams-database.ts';

let teller: StoryTeller;
let tools: GatedTools;
before(async () => {
  teller = await openStoryTeller();
  await createPlainStreamsDatabase(teller.cluster, 'divided');
});
after(async () => await teller[Symbol.asyncDispose]());
beforeEach(async () => {
  tools = await makeGatedTools(teller.cluster);
});
afterEach(() => tools[Symbol.dispose]());

/** The pg_dump of the remainder is the one that is told to leave rows out. */
const scripts = {
  'has a table less than it should': `[[ "$*" == *--exclude-table-data* ]] &&
    set -- "$@" --exclude-table-data=public.small_rows`,
  'has a table that a stream has as well': `for argument; do
    shift; [[ "$argument" == --exclude-table-data=*${streamTables.whole}* ]] || set -- "$@" "$argument"
  done`,
};

describe('a backup of several streams whose remainder', () => {
  for (const [what, script] of Object.entries(scripts)) {
    it(`${what} fails, and lists nothing`, async () => {
      const story = teller.story();
      tools.addScript('pg_dump', script);
      assertFailure(await story.run(`create -d divided --jobs 2 --pg-bin ${tools.folder} ${aesKey}`), {
        code: 10,
        message: /^pg_dump does not dump exactly the tables that no other stream has$/,
        hint: /--jobs 1/,
      });
      assertNothingBelow(story.storeFolder);
      await assertNoSession(teller.cluster, 'divided');
    });
  }

  it('is as it should be comes to its end', async () => {
    const story = teller.story();
    tools.addScript('pg_dump', '');
    const { code, stderr } = await story.run(`create -d divided --jobs 2 --pg-bin ${tools.folder} ${aesKey}`);
    assert.equal(code, 0, stderr);
  });
});
