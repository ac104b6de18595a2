import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { describe, it } from 'node:test';
import { openPrivateFile } from '../../src/postgres/private-file.ts';

/** Folders of ours in the places where such files are made. */
function ownFolders(): string[] {
  const places = ['/dev/shm', tmpdir()].filter((place) => existsSync(place));
  return places.flatMap((place) => readdirSync(place)).filter((name) => name.startsWith('librelog-backup-'));
}

describe('a private file for a child', () => {
  it('without a descriptor is a file of mode 0600 that dispose removes', () => {
    const file = openPrivateFile('hunter2', null);
    assert.equal(file.descriptor, null);
    assert.equal(statSync(file.path).mode & 0o777, 0o600);
    assert.equal(spawnSync('cat', [file.path], { encoding: 'utf8' }).stdout, 'hunter2');
    file[Symbol.dispose]();
    assert.equal(existsSync(file.path), false);
  });

  // Only Linux lets a child open what it has inherited once more, from its start.
  if (process.platform === 'linux') {
    it('with a descriptor has no name, and is read as often as the child likes', () => {
      const before = ownFolders();
      using file = openPrivateFile('hunter2', 3);
      assert.deepEqual(ownFolders(), before);
      assert.equal(file.path, '/proc/self/fd/3');
      const stdio = ['ignore', 'pipe', 'inherit', file.descriptor ?? 'ignore'] as const;
      const child = spawnSync('cat', [file.path, file.path], { encoding: 'utf8', stdio: [...stdio] });
      assert.equal(child.stdout, 'hunter2hunter2');
    });
  }
});
