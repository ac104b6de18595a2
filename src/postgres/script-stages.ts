import { BackupError } from '../core/backup-error.ts';
import type { ByteStream } from '../core/byte-stream.ts';
import { createCompletionCheck } from './dump-completion.ts';

/** The settings at the start of a script take less than 2 KiB. */
const preambleBytes = 16 * 1024;
/** The first server that knows `transaction_timeout`. */
const firstMajorWithTransactionTimeout = 17;

/** Everything that may stand in front of the setting in a script of pg_dump or pg_restore, and the setting. */
const timeoutSetting =
  /^((?:(?:--.*|SET .*|\\restrict .*|SELECT pg_catalog\.set_config\(.*|BEGIN;)?\n)*?)SET transaction_timeout = 0;\n/;

/**
 * Takes `SET transaction_timeout = 0`, which tools from 17 on write at the start of every script, out of a script for an
 * older server, which would refuse it. Zero is what such a server does anyway.
 */
export async function* withoutTransactionTimeout(script: ByteStream, serverMajor: number): ByteStream {
  if (serverMajor >= firstMajorWithTransactionTimeout) {
    yield* script;
    return;
  }
  let head: Buffer | null = Buffer.alloc(0);
  for await (const chunk of script) {
    if (head === null) {
      yield chunk;
      continue;
    }
    head = Buffer.concat([head, chunk]);
    if (head.byteLength < preambleBytes) continue;
    yield withoutSetting(head);
    head = null;
  }
  if (head !== null) yield withoutSetting(head);
}

/** What follows the COMMIT of pg_restore's scripts is a comment and `\unrestrict`, less than 200 bytes. */
export const scriptTailBytes = 4096;
const beginLine = /^((?:(?:--.*|\\restrict .*)?\n)*?)BEGIN;\n/;
const commitLine = '\nCOMMIT;\n';

/**
 * Takes the BEGIN and the COMMIT that `pg_restore --single-transaction` puts around a script out of it: it becomes a part
 * of a longer transaction.
 */
export async function* withoutTransaction(script: ByteStream): ByteStream {
  let isHead = true;
  let held = Buffer.alloc(0);
  for await (const chunk of script) {
    held = Buffer.concat([held, chunk]);
    if (held.byteLength < preambleBytes) continue;
    if (isHead) held = withoutBegin(held);
    isHead = false;
    yield held.subarray(0, -scriptTailBytes);
    held = Buffer.from(held.subarray(-scriptTailBytes));
  }
  if (isHead) held = withoutBegin(held);
  const commit = held.lastIndexOf(commitLine);
  if (commit === -1) throw new BackupError('postgres', 'pg_restore wrote a script without its COMMIT');
  yield held.subarray(0, commit + 1);
  yield held.subarray(commit + commitLine.length);
}

function withoutBegin(head: Buffer): Buffer<ArrayBuffer> {
  const rest = without(head, beginLine);
  if (rest === null) throw new BackupError('postgres', 'pg_restore wrote a script without its BEGIN');
  return rest;
}

function withoutSetting(head: Buffer): Buffer {
  return without(head, timeoutSetting) ?? head;
}

/** What `pattern` finds at the start, but for its first group, taken out; `null`: it finds nothing. */
function without(head: Buffer, pattern: RegExp): Buffer<ArrayBuffer> | null {
  // latin1 keeps every byte as it is, whatever the encoding of the script.
  const match = pattern.exec(head.toString('latin1'));
  if (match === null) return null;
  return Buffer.concat([head.subarray(0, match[1]?.length ?? 0), head.subarray(match[0].length)]);
}

/** Throws `integrity` at the end of a script that does not end as pg_dump's scripts do. */
export async function* demandLastLine(script: ByteStream): ByteStream {
  const check = createCompletionCheck('plain');
  for await (const chunk of script) {
    check.add(chunk);
    yield chunk;
  }
  if (check.problem() !== null) {
    throw new BackupError('integrity', 'the script does not end as a script of pg_dump does: it is cut off', {
      hint: 'Restore another backup.',
    });
  }
}

/**
 * Gives the last `sizeBytes` bytes only after the script has ended without an error, so that the COMMIT at its end is
 * not sent before.
 */
export async function* holdBackTail(script: ByteStream, sizeBytes: number): ByteStream {
  let tail = Buffer.alloc(0);
  for await (const chunk of script) {
    const all = Buffer.concat([tail, chunk]);
    const end = Math.max(0, all.byteLength - sizeBytes);
    if (end > 0) yield all.subarray(0, end);
    tail = all.subarray(end);
  }
  if (tail.byteLength > 0) yield tail;
}
