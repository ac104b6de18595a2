import type { JsonAnswer } from './json-exchange.ts';
import { castagnoli, GcpRestDouble, googleError, type RestRequest } from './gcp-rest-double.ts';

interface SecretVersion {
  readonly data: Buffer;
  state: 'ENABLED' | 'DISABLED' | 'DESTROYED';
}

/** AccessSecretVersion of Secret Manager (REST reference, v1), for secrets of one project. */
export class GcpSecretsDouble implements AsyncDisposable {
  readonly secrets = new Map<string, SecretVersion[]>();
  /** In how many of the next answers to flip a bit of the payload. */
  damaged = 0;
  isPermitted = true;
  #rest: GcpRestDouble | undefined;

  static async start(folder: string): Promise<GcpSecretsDouble> {
    const double = new GcpSecretsDouble();
    double.#rest = await GcpRestDouble.start(folder, (request) => double.#handle(request));
    return double;
  }

  get rest(): GcpRestDouble {
    if (this.#rest === undefined) throw new Error('not started');
    return this.#rest;
  }

  add(name: string, data: string | Buffer): SecretVersion {
    const version: SecretVersion = { data: Buffer.from(data), state: 'ENABLED' };
    this.secrets.set(name, [...(this.secrets.get(name) ?? []), version]);
    return version;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.rest[Symbol.asyncDispose]();
  }

  #handle({ method, path }: RestRequest): JsonAnswer {
    const { secret = '', version = '' } =
      /^\/v1\/projects\/test-project\/secrets\/(?<secret>[\w-]+)\/versions\/(?<version>[\w-]+):access$/.exec(path)
        ?.groups ?? {};
    if (method !== 'GET' || secret === '') return { status: 404, body: '<html>Not Found</html>' };
    if (!this.isPermitted) {
      return googleError(
        'PERMISSION_DENIED',
        `Permission 'secretmanager.versions.access' denied for resource 'projects/test-project/secrets/${secret}' (or it may not exist).`,
      );
    }
    return this.#access(secret, version);
  }

  #access(secret: string, version: string): JsonAnswer {
    const parent = `projects/123456/secrets/${secret}`;
    const versions = this.secrets.get(secret) ?? [];
    if (versions.length === 0) return googleError('NOT_FOUND', `Secret [${parent}] not found or has no versions.`);
    const number = version === 'latest' ? versions.length : Number(version);
    const name = `${parent}/versions/${number}`;
    const found = versions[number - 1];
    if (found === undefined) return googleError('NOT_FOUND', `Secret Version [${name}] not found.`);
    if (found.state !== 'ENABLED') {
      return googleError('FAILED_PRECONDITION', `Secret Version [${name}] is in ${found.state} state.`);
    }
    const data = Buffer.from(found.data);
    const dataCrc32c = castagnoli(data);
    if (this.damaged-- > 0) data[0] = (data[0] ?? 0) ^ 1;
    return { status: 200, body: { name, payload: { data: data.toString('base64'), dataCrc32c } } };
  }
}
