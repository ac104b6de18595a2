/** What `librelog-backup/fields` offers; docs/fields.md shows it at work. */
export { BackupError, type ErrorKind } from '../core/backup-error.ts';
export { openFieldKeyring, type FieldKeyReferences, type FieldKeyring } from './field-keyring.ts';
export { decryptField, encryptField, needsRotation } from './encrypt-field.ts';
export type { DecryptOptions, EncryptOptions, RotationOptions } from './encrypt-field.ts';
