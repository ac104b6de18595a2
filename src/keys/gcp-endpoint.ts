import { BackupError } from '../core/backup-error.ts';

/**
 * The address in `variable`, or Google's, without a slash at its end. Keys and secrets travel there, so that it has to
 * be HTTPS, except on this machine itself. Errors: `config`.
 */
export function toGcpEndpoint(text: string | undefined, variable: string, google: string): string {
  if (text === undefined || text === '') return google;
  const url = URL.parse(text);
  const isUsable = url !== null && /^https?:$/.test(url.protocol) && url.hostname !== '';
  if (!isUsable || url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '') {
    throw new BackupError('config', `${variable} is not an https address without credentials and query`, {
      hint: 'Write it as https://HOST or https://HOST:PORT.',
    });
  }
  if (url.protocol === 'http:' && !isLoopback(url.hostname)) {
    throw new BackupError('config', `${variable} would send keys in the clear`, {
      hint: 'Write an address that begins with https://.',
    });
  }
  return url.href.replace(/\/+$/, '');
}

function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d+){3}$/.test(hostname);
}

export function isGoogleEndpoint(endpoint: string): boolean {
  return /(^|\.)googleapis\.com$/.test(new URL(endpoint).hostname);
}
