import { Secret } from '../core/secret.ts';
import { productVersion } from '../core/version.ts';
import { checkLine, checkLines } from './sheet-checks.ts';

/** What prints on any paper. */
const columns = 72;
const rule = '='.repeat(columns);

interface SheetFacts {
  readonly createdAt: Date | null;
  readonly exportedAt: Date;
  /** Whether there is a code beside the text. */
  readonly hasQrCode: boolean;
}

export interface KeySheet extends SheetFacts {
  /** What `toKeyText` gives. */
  readonly text: Secret;
  readonly keyId: string;
}

export interface PrivateKeySheet extends SheetFacts {
  /** Armored. */
  readonly text: Secret;
  readonly fingerprint: string;
  readonly userIds: readonly string[];
  readonly isLocked: boolean;
}

/** A raw key as a key file may hold it: hex, one line, no line end. The caller disposes of it. */
export function toKeyText(key: Secret): Secret {
  return Secret.fromText(Buffer.from(key.reveal()).toString('hex'));
}

/**
 * A page to print, ASCII, 72 columns: the key, how to type or scan it, and how to restore with it on an empty machine. It
 * says nothing of the host, the place of the key or any backup. The caller disposes of it.
 */
export function formatKeySheet(sheet: KeySheet): Secret {
  const lines = sheet.text.revealText().match(/.{1,16}/g) ?? [];
  const rows = lines.map((line, index) => {
    return `  ${index + 1}     ${toGroups(line)}     ${checkLine(line, index + 1)}`;
  });
  return toSheet([
    ...toHead('AES-256 KEY', 'locked by'),
    ...toFacts({ ...toTimes(sheet), 'Key id': `${sheet.keyId} (manifests name it)` }),
    '',
    'THE KEY: 64 digits, 0 to 9 and a to f',
    '',
    '  line  digits                  check',
    ...rows,
    '',
    ...toChecksText(checkLines(lines)),
    '',
    ...toScanSteps(sheet, 'backup.key', 'the 64 digits'),
    '',
    'TYPING IT',
    '',
    'After umask 077, type the digits of each line on a line of its own, in',
    'lower case, with or without the blanks, without its number and check,',
    'into a new file typed.txt. Then join the lines:',
    '',
    `    umask 077; tr -d ' \\r\\n' < typed.txt > backup.key`,
    '',
    ...toCheckSteps('backup.key', checkLines(lines)),
    ...toRestoreSteps('--key file:backup.key'),
    'Without librelog-backup, python3 opens a backup with the script',
    'open_aes.py; docs/recover.md, which comes with librelog-backup, has',
    'each step. Print that page and keep it, with the script, beside this:',
    '',
    '    python3 open_aes.py open OBJECT OUTPUT --key-file backup.key',
  ]);
}

/** The same for an OpenPGP private key, whose armored text stands there as it is: gpg imports the very sheet. */
export function formatPrivateKeySheet(sheet: PrivateKeySheet): Secret {
  const lines = sheet.text.revealText().trimEnd().split('\n');
  const passphrase = sheet.isLocked ? ['--private-key-passphrase file:passphrase'] : [];
  return toSheet([
    ...toHead('OPENPGP PRIVATE KEY', 'encrypted to'),
    ...toFacts({ ...toTimes(sheet), ...toFingerprint(sheet.fingerprint) }),
    ...sheet.userIds.map((userId) => `User id      ${toAscii(userId)}`),
    ...toLockText(sheet.isLocked),
    '',
    'THE KEY',
    '',
    ...lines,
    '',
    'CHECKS, by the number of the line; the BEGIN line is line 1',
    '',
    ...toCheckTable(lines),
    '',
    ...toChecksText(checkLines(lines)),
    '',
    ...toScanSteps(sheet, 'private-key.asc', 'the lines of the key'),
    '',
    'TYPING IT',
    '',
    'After umask 077, type all lines from BEGIN to END, also the empty one,',
    'into a new file typed.txt. Capital and small letters differ. Then:',
    '',
    '    umask 077; cp typed.txt private-key.asc',
    '',
    ...toCheckSteps('private-key.asc', checkLines(lines)),
    ...toRestoreSteps('--private-key file:private-key.asc', ...passphrase),
    'Without librelog-backup, gpg opens a backup; docs/recover.md, which',
    'comes with librelog-backup, has each step. Print that page and keep it',
    'beside this:',
    '',
    '    gpg --import private-key.asc',
    '    gpg --output OUTPUT --decrypt OBJECT',
  ]);
}

function toSheet(lines: readonly string[]): Secret {
  return Secret.fromText(`${lines.join('\n')}\n`);
}

function toHead(what: string, which: string): string[] {
  return [
    `LIBRELOG-BACKUP RECOVERY SHEET: ${what}`,
    rule,
    '',
    `This sheet holds a key. Whoever has it can read the backups ${which}`,
    'it; without it nobody can. Keep it like cash: on paper, in a safe, away',
    'from the machines that make backups and from the place where the backups',
    'are. Then delete the files that it was printed from.',
    '',
  ];
}

function toTimes({ createdAt, exportedAt }: SheetFacts): Record<string, string> {
  return {
    Created: createdAt === null ? 'unknown' : createdAt.toISOString(),
    Exported: `${exportedAt.toISOString()}, by librelog-backup ${productVersion}`,
  };
}

function toFacts(facts: Readonly<Record<string, string>>): string[] {
  return Object.entries(facts).map(([name, value]) => `${name.padEnd(12)} ${value}`);
}

/** In two rows where it is one of a version 6 key. */
function toFingerprint(digits: string): Record<string, string> {
  const [first = '', second] = digits.match(/.{1,40}/g) ?? [];
  return { Fingerprint: toGroups(first), ...(second !== undefined && { '': toGroups(second) }) };
}

function toLockText(isLocked: boolean): string[] {
  if (isLocked) return ['Passphrase   needed as well, and not on this sheet: keep it elsewhere'];
  return ['Passphrase   NONE: WHOEVER HAS THIS SHEET HAS THE KEY'];
}

function toChecksText(whole: string): string[] {
  return [
    `Check of the whole: ${toGroups(whole)}`,
    '',
    'The check of a line is the first 4 digits of the SHA-256 of its number,',
    'a blank, and the line without blanks. That of the whole is the first 16',
    'digits of the SHA-256 of all lines, joined without line ends.',
  ];
}

/** By itself zbarimg announces what it reads to all programs on the system's message bus. */
function toScanSteps({ hasQrCode }: SheetFacts, file: string, what: string): string[] {
  if (!hasQrCode) return ['There is no QR code of this key: it is too long for one.'];
  return [
    'SCANNING IT',
    '',
    `The QR code beside this text (.png, .svg) holds ${what},`,
    `and nothing else. Save that as ${file}. Take a reader that`,
    'works offline and keeps nothing, such as zbarimg of zbar-tools:',
    '',
    `    umask 077; zbarimg --nodbus -q --raw SHEET.png > ${file}`,
  ];
}

function toCheckSteps(file: string, whole: string): string[] {
  return [
    'CHECKING IT, typed or scanned',
    '',
    `This has to print ${whole}:`,
    '',
    `    tr -d '\\r\\n' < ${file} | sha256sum | cut -c 1-16`,
    '',
    'If it prints something else, this prints the check of each typed line,',
    'so that you find the one that is wrong (in bash):',
    '',
    `    n=0; while read -r line || [ "$line" ]; do n=$((n+1))`,
    `    printf '%s %s' $n "\${line// /}" | sha256sum | cut -c 1-4`,
    '    done < typed.txt',
    '',
    'Then close the file to others, and delete the typed one:',
    '',
    `    chmod 600 ${file}; rm -f typed.txt`,
    '',
  ];
}

function toRestoreSteps(...keys: readonly string[]): string[] {
  return [
    'RESTORING with it, on a machine with nothing on it',
    '',
    'Install Node.js (24.20 or later), the client programs of PostgreSQL and',
    'librelog-backup. Say where the backups are and where the database is to',
    'be; credentials for both places are not on this sheet.',
    ...(keys.length > 1 ? ['Write the passphrase of the key into a file named passphrase, mode 600.'] : []),
    '',
    '    librelog-backup list --store URL',
    '    librelog-backup restore latest --store URL --label NAME \\',
    `      --target postgresql:///NAME --create-db \\`,
    `      ${keys.join(' \\\n      ')}`,
    '',
  ];
}

/** Several checks to a row. */
function toCheckTable(lines: readonly string[]): string[] {
  const perRow = 6;
  const cells = lines.map((line, index) => `${String(index + 1).padStart(3)} ${checkLine(line, index + 1)}`);
  return Array.from({ length: Math.ceil(cells.length / perRow) }, (_, row) => {
    return `  ${cells.slice(row * perRow, (row + 1) * perRow).join('   ')}`;
  });
}

function toGroups(digits: string): string {
  return (digits.match(/.{1,4}/g) ?? []).join(' ');
}

/** What any printer has; a user id may be of any script and length. */
function toAscii(text: string): string {
  const maxLength = columns - 13;
  const ascii = text.replace(/[^\x20-\x7e]/gu, '?');
  return ascii.length > maxLength ? `${ascii.slice(0, maxLength - 3)}...` : ascii;
}
