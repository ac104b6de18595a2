import { InvalidArgumentError, Option, type Command } from 'commander';
import type { LogSettings } from './output/logger.ts';

/**
 * Every option can be set as `LIBRELOG_BACKUP_<NAME>` too; lists there are separated by commas, and an empty variable
 * counts as not set.
 */
export function option(flags: string, description: string): Option {
  const created = new Option(flags, description);
  const variable = `LIBRELOG_BACKUP_${created.name().replaceAll('-', '_').toUpperCase()}`;
  return process.env[variable] === '' ? created : created.env(variable);
}

/** Whether the text of a variable turns a flag off. */
export function isOff(text: string | undefined): boolean {
  return text === undefined || ['', '0', 'false', 'no', 'off'].includes(text.toLowerCase());
}

/** An option that may be given several times. */
export function listOption(flags: string, description: string): Option {
  const created = option(flags, `${description} (repeatable)`);
  created.argParser((value: string, previous: readonly string[] | undefined) => [...(previous ?? []), value]);
  return created;
}

export function parseCount(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError('It must be a whole number.');
  return Number(text);
}

const commonOptions = [
  option('--config <file>', 'YAML file with settings'),
  option('--json', 'print one JSON document'),
  option('--log-level <level>', 'least important line to log')
    .choices(['debug', 'info', 'warn', 'error', 'silent'])
    .default('info'),
  option('--log-format <format>', 'how log lines look').choices(['pretty', 'json']).default('pretty'),
];

export interface CommonOptions extends LogSettings {
  readonly config?: string;
  readonly json?: boolean;
}

const storeOptions = [
  option('--store <url>', 'where backups are: file:///path or s3://bucket/prefix'),
  option('--s3-region <name>', 'region of the bucket'),
  option('--s3-endpoint <url>', 'another S3-compatible service'),
  option('--s3-path-style', 'bucket in the path instead of the host name'),
  option('--checksum-mode <mode>', 'checksums that the SDK adds').choices(['auto', 'when-required']).default('auto'),
  option('--ca-file <file>', 'certificates of private authorities, PEM'),
  option('--upload-memory <MiB>', 'memory for parts in flight').argParser(parseCount).default(128),
];

export interface StoreOptions {
  readonly store?: string;
  readonly s3Region?: string;
  readonly s3Endpoint?: string;
  readonly s3PathStyle?: boolean;
  readonly checksumMode: 'auto' | 'when-required';
  readonly caFile?: string;
  /** MiB. */
  readonly uploadMemory: number;
}

const keyOptions = [
  listOption('--key <ref>', 'AES-256 key: file:PATH or env:NAME'),
  option('--passphrase <ref>', 'passphrase: file:PATH or env:NAME'),
  listOption('--private-key <ref>', 'OpenPGP private key: file:PATH or env:NAME'),
  option('--private-key-passphrase <ref>', 'passphrase of the private key'),
  listOption('--signer <ref>', 'certificate whose signature is demanded'),
];

/** What may open a backup. */
export interface KeyOptions {
  readonly key?: readonly string[];
  readonly passphrase?: string;
  readonly privateKey?: readonly string[];
  readonly privateKeyPassphrase?: string;
  readonly signer?: readonly string[];
}

const selectOptions = [option('--label <name>', 'folder of the database in the store; its name by default')];

export interface SelectOptions {
  readonly label?: string;
}

const groups = { common: commonOptions, store: storeOptions, keys: keyOptions, select: selectOptions } as const;

/** Adds groups of options that several commands share. */
export function addOptions(command: Command, ...names: readonly (keyof typeof groups)[]): Command {
  for (const name of names) for (const shared of groups[name]) command.addOption(shared);
  return command;
}
