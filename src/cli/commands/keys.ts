import { Command } from 'commander';
import type { Output } from '../output/output.ts';
import { exportKeyCommand } from './keys-export.ts';
import { generateKeysCommand } from './keys-generate.ts';
import { listKeysCommand } from './keys-list.ts';
import { rewrapKeysCommand } from './keys-rewrap.ts';
import { rotateKeysCommand } from './keys-rotate.ts';
import { shredKeyCommand } from './keys-shred.ts';
import { verifyKeysCommand } from './keys-verify.ts';

export function keysCommand(output: Output): Command {
  return new Command('keys')
    .addCommand(generateKeysCommand(output))
    .addCommand(listKeysCommand(output))
    .addCommand(rotateKeysCommand(output))
    .addCommand(rewrapKeysCommand(output))
    .addCommand(verifyKeysCommand(output))
    .addCommand(exportKeyCommand(output))
    .addCommand(shredKeyCommand(output));
}
