import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { openStoryTeller, type Story, type StoryTeller } from './story.ts';

let teller: StoryTeller;
before(async () => (teller = await openStoryTeller()));
after(async () => await teller[Symbol.asyncDispose]());

/** A story whose store is there. */
function begin(): Story {
  const story = teller.story();
  mkdirSync(story.storeFolder);
  return story;
}

/** The text of the story's key. */
function keyOf(story: Story): string {
  return readFileSync(join(story.folder, 'aes.key'), 'utf8');
}

function plant(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}

describe('a story notices a secret', () => {
  it('in what is printed', async () => {
    const story = teller.story();
    const input = `${keyOf(story)}\n`;
    await assert.rejects(story.run(['keys', keyOf(story)], { input }), /^AssertionError.*: aes\.key is in stderr/);
  });

  it('in the arguments of a child, and in its base64 form', async () => {
    const story = begin();
    const key = keyOf(story);
    for (const text of [key, Buffer.from(key, 'hex').toString('base64')]) {
      const command = ['keys', 'list', '--key', `exec:echo ${text}`];
      await assert.rejects(story.run(command), /aes\.key is in arguments or environment of a child/);
    }
  });

  it('in the environment of a child', async () => {
    const story = begin();
    const env = { SOMETHING: keyOf(story) };
    const command = ['keys', 'list', '--key', 'exec:true'];
    await assert.rejects(story.run(command, { env }), /aes\.key is in arguments or environment of a child/);
  });

  it('in the audit log', async () => {
    const story = teller.story();
    plant(story.auditFile, keyOf(story));
    await assert.rejects(story.run('--version'), /aes\.key is in .*audit\.jsonl/);
  });

  it('in a manifest, and in a name in the store', async () => {
    const story = teller.story();
    plant(join(story.storeFolder, 'small', 'id', 'manifest.json'), `{"x":"${keyOf(story)}"}`);
    await assert.rejects(story.run('--version'), /aes\.key is in .*manifest\.json/);
    const other = teller.story();
    plant(join(other.storeFolder, keyOf(other), 'x'), '');
    await assert.rejects(other.run('--version'), /aes\.key is in a name in the store/);
  });

  it('and has nothing to say of what is in order', async () => {
    const story = begin();
    const run = await story.run(['keys', 'list', '--key', 'exec:cat aes.key']);
    assert.match(run.children, /cat aes\.key/);
  });
});
