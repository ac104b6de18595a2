import { rotateKeyringFile } from '../../src/keys/keyring-file.ts';

/** `PATH COUNT`: rotates the keyring so many times, and prints the id of each new key, once it is on the disk. */
const [path = '', count = ''] = process.argv.slice(2);
process.stdout.write('ready\n');
for (let turn = 0; turn < Number(count); turn += 1) {
  const { keyId } = await rotateKeyringFile(path, { now: new Date() });
  process.stdout.write(`${keyId}\n`);
}
