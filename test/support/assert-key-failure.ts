import assert from 'node:assert/strict';
import { inspect } from 'node:util';
import { BackupError } from '../../src/core/backup-error.ts';

export interface ExpectedFailure {
  readonly kind: string;
  readonly message: RegExp;
  readonly hint?: RegExp;
}

/** Fails so, and nothing that is printed of it holds one of the secrets. */
export async function assertFails(
  call: Promise<unknown>,
  expected: ExpectedFailure,
  secrets: readonly string[] = [],
): Promise<void> {
  await assert.rejects(call, (error) => {
    assert.ok(error instanceof BackupError);
    assert.equal(error.kind, expected.kind, error.message);
    assert.match(error.message, expected.message);
    assert.match(error.hint ?? '', expected.hint ?? /^|\.$/);
    const printed = inspect(error, { depth: 20, showHidden: true, getters: true });
    for (const secret of secrets) assert.ok(!printed.includes(secret));
    return true;
  });
}
