import { readFile } from 'node:fs/promises';
import { z } from 'zod/v3';
import { BackupError } from '../core/backup-error.ts';
import { lockModes } from '../core/object-lock.ts';

const text = z.string().min(1);
const count = z.number().int().positive();
const texts = z.union([text, z.array(text).min(1)]).transform((value) => (typeof value === 'string' ? [value] : value));

/** Every setting of a configuration file: the long options of the commands, in camel case. */
const configSchema = z
  .object({
    database: texts.optional(),
    databasePassword: text.optional(),
    label: text.optional(),
    store: texts.optional(),
    encrypt: z.enum(['openpgp', 'aes-256']).optional(),
    recipient: texts.optional(),
    key: texts.optional(),
    passphrase: text.optional(),
    signingKey: text.optional(),
    signingKeyPassphrase: text.optional(),
    privateKey: texts.optional(),
    privateKeyPassphrase: text.optional(),
    signer: texts.optional(),
    format: z.enum(['custom', 'plain']).optional(),
    compress: text.optional(),
    schema: texts.optional(),
    excludeSchema: texts.optional(),
    table: texts.optional(),
    excludeTable: texts.optional(),
    excludeTableData: texts.optional(),
    lockWaitTimeout: text.optional(),
    stallTimeout: text.optional(),
    pgBin: text.optional(),
    s3Region: text.optional(),
    s3Endpoint: z.string().url().optional(),
    s3PathStyle: z.boolean().optional(),
    checksumMode: z.enum(['auto', 'when-required']).optional(),
    caFile: text.optional(),
    sseCKey: text.optional(),
    azureEndpoint: z.string().url().optional(),
    azureCustomerKey: text.optional(),
    gcsEndpoint: z.string().url().optional(),
    gcsCustomerKey: text.optional(),
    uploadMemory: count.optional(),
    uploadRate: count.optional(),
    sse: z.enum(['sse-s3', 'sse-kms', 'dsse-kms', 'sse-c']).optional(),
    sseKmsKey: text.optional(),
    sseKmsContext: texts.optional(),
    sseBucketKey: z.boolean().optional(),
    azureEncryptionScope: text.optional(),
    gcsKmsKey: text.optional(),
    requireSse: z.boolean().optional(),
    lock: z.enum(lockModes).optional(),
    lockFor: text.optional(),
    legalHold: z.boolean().optional(),
    s3StorageClass: text.optional(),
    s3MaxParts: count.optional(),
    azureTier: text.optional(),
    gcsStorageClass: text.optional(),
    tag: texts.optional(),
    allowPartial: z.boolean().optional(),
    rotationMaxAgeDays: count.optional(),
    rotationOverdue: z.enum(['warn', 'fail']).optional(),
    auditFile: text.optional(),
    auditSink: texts.optional(),
    auditKey: text.optional(),
    auditOnFailure: z.enum(['fail', 'warn']).optional(),
    logLevel: z.enum(['debug', 'info', 'warn', 'error', 'silent']).optional(),
    logFormat: z.enum(['pretty', 'json']).optional(),
  })
  .strict();

export type Config = z.infer<typeof configSchema>;

/** Reads a YAML (or JSON) configuration file. Errors: `config`, naming every problem at once. */
export async function readConfigFile(path: string): Promise<Config> {
  const document = await parseYaml(await readText(path), path);
  const config = configSchema.safeParse(document ?? {});
  if (config.success) return config.data;
  const problems = config.error.issues.map((issue) => `${issue.path.join('.') || 'file'}: ${issue.message}`);
  throw new BackupError('config', `configuration "${path}" is wrong: ${problems.join('; ')}`, {
    hint: 'Settings are the long options of the commands in camel case.',
  });
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new BackupError('config', `cannot read configuration "${path}"`, { cause: error });
  }
}

async function parseYaml(content: string, path: string): Promise<unknown> {
  const { parse, YAMLParseError } = await import('yaml');
  try {
    return parse(content);
  } catch (error) {
    if (!(error instanceof YAMLParseError)) throw error;
    const [line] = error.linePos ?? [];
    // The parser's own message quotes the file, which may hold what must not be printed.
    throw new BackupError('config', `configuration "${path}" is not YAML: line ${line?.line ?? '?'}: ${error.code}`);
  }
}
