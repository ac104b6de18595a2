import type { Command } from 'commander';
import { listOption, option, parseCount } from './options.ts';
import type { LogSettings } from './output/logger.ts';
import { storeOptions, uploadOptions } from './store-options.ts';

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

const keyOptions = [
  listOption('--key <ref>', 'AES-256 key: file:PATH or env:NAME'),
  option('--passphrase <ref>', 'passphrase: file:PATH or env:NAME'),
  listOption('--private-key <ref>', 'OpenPGP private key: file:PATH or env:NAME'),
  option('--private-key-passphrase <ref>', 'passphrase of the private key'),
  listOption('--signer <ref>', 'certificate whose signature is demanded'),
  option('--require-signature', 'open nothing that no --signer has signed'),
  option('--engine <engine>', 'who decrypts OpenPGP; gpg takes its own keyring, agent and smartcard').choices([
    'built-in',
    'gpg',
  ]),
];

/** What may open a backup. */
export interface KeyOptions {
  readonly key?: readonly string[];
  readonly passphrase?: string;
  readonly privateKey?: readonly string[];
  readonly privateKeyPassphrase?: string;
  readonly signer?: readonly string[];
  readonly requireSignature?: boolean;
  readonly engine?: 'built-in' | 'gpg';
}

const auditOptions = [
  option('--audit-file <file>', "audit log, or none; in the user's state folder by default"),
  listOption('--audit-sink <sink>', 'where it goes as well: stdout, store, syslog or syslog:ADDRESS'),
  option('--audit-key <ref>', 'key that authenticates its entries'),
  option('--audit-on-failure <what>', 'when it cannot be written').choices(['fail', 'warn']).default('fail'),
];

/** What is recorded of a command, and where. */
export interface AuditOptions {
  /** A path, or `none`. */
  readonly auditFile?: string;
  readonly auditSink?: readonly string[];
  readonly auditKey?: string;
  readonly auditOnFailure?: 'fail' | 'warn';
}

const rotationOptions = [
  option('--rotation-max-age-days <n>', 'how old a key may be that encrypts').argParser(parseCount).default(90),
];

/** How old keys may become. */
export interface RotationOptions {
  readonly rotationMaxAgeDays: number;
}

const selectOptions = [option('--label <name>', 'folder of the database in the store; its name by default')];

export interface SelectOptions {
  readonly label?: string;
}

const groups = {
  common: commonOptions,
  store: storeOptions,
  upload: uploadOptions,
  keys: keyOptions,
  select: selectOptions,
  audit: auditOptions,
  rotation: rotationOptions,
} as const;

/** Adds groups of options that several commands share. */
export function addOptions(command: Command, ...names: readonly (keyof typeof groups)[]): Command {
  for (const name of names) for (const shared of groups[name]) command.addOption(shared);
  return command;
}
