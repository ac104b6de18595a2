import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { errorKinds } from '../../src/core/backup-error.ts';
import { productName, productVersion } from '../../src/core/version.ts';

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');

describe('what is written down twice', () => {
  it('agrees on name and version', () => {
    const { name, version } = JSON.parse(read('package.json')) as { name: string; version: string };
    assert.deepEqual({ name, version }, { name: productName, version: productVersion });
    assert.match(read('CHANGELOG.md'), new RegExp(`^## ${version.replaceAll('.', '\\.')} `, 'm'));
  });

  it('agrees on the exit codes', () => {
    const readme = read('README.md');
    const table = Object.values(errorKinds).filter(({ exitCode }) => exitCode < 130);
    for (const { exitCode, meaning } of table)
      assert.ok(readme.includes(`| ${exitCode} | ${meaning} |`), `${exitCode}`);
    const { interrupted, terminated } = errorKinds;
    const signals = `| ${interrupted.exitCode}, ${terminated.exitCode} | ${interrupted.meaning}, ${terminated.meaning} |`;
    assert.ok(readme.includes(signals));
  });

  it('agrees on the oldest Node', () => {
    const { engines } = JSON.parse(read('package.json')) as { engines: { node: string } };
    assert.equal(engines.node, '>=24.20');
    assert.ok(read('README.md').includes('Node >= 24.20'));
    assert.ok(read('bin/librelog-backup.js').includes('Node >= 24.20'));
  });
});
