import { BackupError } from './backup-error.ts';

/**
 * Fails with `config` for an address of a proxy that Node would pass by in silence. It may hold a password, and is not
 * repeated.
 */
export function assertProxies(env: Readonly<Record<string, string | undefined>>): void {
  for (const name of ['http_proxy', 'https_proxy', 'HTTP_PROXY', 'HTTPS_PROXY']) {
    const address = env[name] ?? '';
    if (address === '' || (/^https?:\/\//i.test(address) && URL.canParse(address))) continue;
    throw new BackupError('config', `${name} is not the address of an HTTP proxy`, {
      hint: 'Write it as http://HOST:PORT.',
    });
  }
}
