import type { Command } from 'commander';
import type { CommandContext } from './context.ts';
import type { Output } from './output/output.ts';
import type { CommonOptions, KeyOptions } from './option-groups.ts';
import { isOff } from './options.ts';
import type { DecryptionRequest } from '../backup/open-decryption.ts';

type Run<Options> = (options: Options, context: CommandContext, args: readonly string[]) => Promise<void>;

/**
 * Binds what a command does. `run` gets the command's options after environment and configuration file were applied
 * (flag > environment > file > default), its arguments, and the context.
 */
export function runWith<Options extends CommonOptions>(
  { command, output }: { readonly command: Command; readonly output: Output },
  run: Run<Options>,
): Command {
  return command.action(async () => {
    readEnvironment(command);
    output.useJson(command.opts<CommonOptions>().json === true);
    await applyConfig(command);
    const options = command.opts<Options>();
    const { createContext } = await import('./context.ts');
    await run(options, await createContext(options, output), command.args);
  });
}

/** What the environment cannot say as the command line does: repeated options, and flags that are off. */
function readEnvironment(command: Command): void {
  for (const option of command.options) {
    const name = option.attributeName();
    if (command.getOptionValueSource(name) !== 'env') continue;
    const value: unknown = command.getOptionValue(name);
    if (Array.isArray(value)) {
      const items = value.flatMap((item) => String(item).split(','));
      command.setOptionValueWithSource(
        name,
        items.map((item) => item.trim()),
        'env',
      );
    } else if (typeof value === 'boolean' && isOff(process.env[option.envVar ?? ''])) {
      command.setOptionValueWithSource(name, !value, 'env');
    }
  }
}

/** Settings of the file that this command does not know belong to another command. */
async function applyConfig(command: Command): Promise<void> {
  const { config: path } = command.opts<CommonOptions>();
  if (path === undefined) return;
  const { readConfigFile } = await import('../config/config-file.ts');
  const config = await readConfigFile(path);
  for (const [name, value] of Object.entries(config)) {
    const source = command.getOptionValueSource(name);
    const isKnown = command.options.some((option) => option.attributeName() === name);
    if (isKnown && (source === undefined || source === 'default')) {
      command.setOptionValueWithSource(name, value, 'config');
    }
  }
}

/** What the options offer to open a backup with. */
export function toDecryptionRequest(options: KeyOptions): DecryptionRequest {
  return {
    keys: options.key,
    passphrase: options.passphrase,
    privateKeys: options.privateKey,
    privateKeyPassphrase: options.privateKeyPassphrase,
    signers: options.signer,
    requireSignature: options.requireSignature,
    engine: options.engine,
  };
}
