import type { Command } from 'commander';
import { BackupError } from '../core/backup-error.ts';
import type { ObjectStore } from '../storage/object-store.ts';
import type { CommandContext } from './context.ts';
import type { Output } from './output/output.ts';
import { isOff, type CommonOptions, type KeyOptions, type StoreOptions } from './options.ts';
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

/** Opens the store that the options name, and closes it after `use`. */
export async function withStore<Result>(
  options: StoreOptions,
  use: (store: ObjectStore) => Promise<Result>,
): Promise<Result> {
  if (options.store === undefined) {
    throw new BackupError('usage', 'no store given', { hint: 'Say where backups are with --store URL.' });
  }
  const { openStore } = await import('../storage/open-store.ts');
  await using store = await openStore(options.store, {
    uploadMemoryBytes: options.uploadMemory * 1024 * 1024,
    s3: {
      checksumMode: options.checksumMode,
      ...(options.s3Region !== undefined && { region: options.s3Region }),
      ...(options.s3Endpoint !== undefined && { endpoint: options.s3Endpoint }),
      ...(options.s3PathStyle !== undefined && { forcePathStyle: options.s3PathStyle }),
      ...(options.caFile !== undefined && { caFile: options.caFile }),
    },
  });
  return await use(store);
}

/** What the options offer to open a backup with. */
export function toDecryptionRequest(options: KeyOptions): DecryptionRequest {
  return {
    keys: options.key,
    passphrase: options.passphrase,
    privateKeys: options.privateKey,
    privateKeyPassphrase: options.privateKeyPassphrase,
    signers: options.signer,
  };
}
