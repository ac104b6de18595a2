import { randomUUID } from 'node:crypto';
import { CannedHttp, type CannedAnswer } from './canned-http.ts';

/**
 * Managed identity as App Service offers it ("How to use managed identities", REST endpoint reference): a local endpoint
 * that gives tokens to whoever knows its header. `process.env` leads to it until it is disposed. One for a process: the
 * identity library keeps endpoint and tokens.
 */
export class AzureIdentityDouble implements AsyncDisposable {
  readonly token = `token-${randomUUID()}`;
  /** The resource of every token given. */
  readonly resources: string[] = [];
  #http: CannedHttp | undefined;
  readonly #saved = { ...process.env };

  static async start(): Promise<AzureIdentityDouble> {
    const double = new AzureIdentityDouble();
    double.#http = await CannedHttp.start(({ path, headers }) => double.#answer(path, headers['x-identity-header']));
    for (const name of Object.keys(process.env)) if (/^(AZURE|IDENTITY|MSI)_/.test(name)) delete process.env[name];
    process.env['AZURE_TOKEN_CREDENTIALS'] = 'ManagedIdentityCredential';
    process.env['IDENTITY_ENDPOINT'] = `${double.#http.endpoint}/msi/token`;
    process.env['IDENTITY_HEADER'] = 'known';
    return double;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    process.env = this.#saved;
    await this.#http?.[Symbol.asyncDispose]();
  }

  #answer(path: string, header: string | string[] | undefined): CannedAnswer {
    const headers = { 'content-type': 'application/json' };
    const resource = new URL(path, 'http://localhost').searchParams.get('resource');
    if (header !== 'known' || resource === null) return { status: 400, headers, body: '{"error":"unauthorized"}' };
    this.resources.push(resource);
    const expires = String(Math.floor(Date.now() / 1000) + 24 * 3600);
    const body = { access_token: this.token, expires_on: expires, resource, token_type: 'Bearer' };
    return { status: 200, headers, body: JSON.stringify(body) };
  }
}
