import type { JsonAnswer } from './json-exchange.ts';
import { castagnoli, GcpRestDouble, googleError, type RestRequest } from './gcp-rest-double.ts';

interface SecretVersion {
  readonly data: Buffer;
  readonly createTime: string;
  state: 'ENABLED' | 'DISABLED' | 'DESTROYED';
}

/** So that a test need not make hundreds of versions to get a second page. */
const pageSize = 2;

/**
 * Secret Manager (REST reference, v1) for secrets of one project: AccessSecretVersion, GetSecretVersion,
 * ListSecretVersions (newest first), CreateSecret, AddSecretVersion and DestroySecretVersion.
 */
export class GcpSecretsDouble implements AsyncDisposable {
  readonly secrets = new Map<string, SecretVersion[]>();
  /** In how many of the next answers to flip a bit of the payload. */
  damaged = 0;
  /** In how many of the next cases to make a version and fail to say so. */
  loseAnswers = 0;
  isPermitted = true;
  /** Whether the account may do more than access versions. */
  isAdministrator = true;
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
    const version: SecretVersion = {
      data: Buffer.from(data),
      createTime: new Date().toISOString().replace('Z', '000123Z'),
      state: 'ENABLED',
    };
    this.secrets.set(name, [...(this.secrets.get(name) ?? []), version]);
    return version;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.rest[Symbol.asyncDispose]();
  }

  #handle(request: RestRequest): JsonAnswer {
    const { secret = '', rest = '' } =
      /^\/v1\/projects\/test-project\/secrets(?:\/(?<secret>[\w-]+))?(?<rest>.*)$/.exec(request.path)?.groups ?? {};
    const { version, verb } = parseVersion(rest);
    const what = `${request.method} ${version === '' ? rest : `/versions/N${verb}`}`;
    const isAllowed = this.isAdministrator || what === 'GET /versions/N:access';
    if (!this.isPermitted || !isAllowed) return denied(secret);
    const calls: Readonly<Record<string, () => JsonAnswer>> = {
      'POST ': () => this.#create(request),
      'POST :addVersion': () => this.#addVersion(secret, request.body),
      'GET /versions': () => this.#list(secret, Number(request.query['pageToken'] ?? 0)),
      'GET /versions/N:access': () => this.#access(secret, version),
      'GET /versions/N': () => this.#answer(secret, Number(version)),
      'POST /versions/N:destroy': () => this.#destroy(secret, Number(version)),
    };
    return calls[what]?.() ?? { status: 404, body: '<html>Not Found</html>' };
  }

  #create({ query, body }: RestRequest): JsonAnswer {
    const { secretId = '' } = query;
    if (!/^[\w-]{1,255}$/.test(secretId) || JSON.stringify(body) !== '{"replication":{"automatic":{}}}') {
      return googleError('INVALID_ARGUMENT', 'The provided Secret is not valid.');
    }
    if (this.secrets.has(secretId)) {
      return googleError('ALREADY_EXISTS', `Secret [projects/123456/secrets/${secretId}] already exists.`);
    }
    this.secrets.set(secretId, []);
    return { status: 200, body: { name: `projects/123456/secrets/${secretId}`, replication: { automatic: {} } } };
  }

  #addVersion(secret: string, { payload }: RestRequest['body']): JsonAnswer {
    const { data = '', dataCrc32c } = (payload ?? {}) as { data?: string; dataCrc32c?: string };
    if (!this.secrets.has(secret)) return this.#missing(secret);
    const bytes = Buffer.from(data, 'base64');
    if (castagnoli(bytes) !== dataCrc32c) return googleError('INVALID_ARGUMENT', 'Checksum does not match.');
    this.add(secret, bytes);
    if (this.loseAnswers-- > 0) return googleError('UNAVAILABLE', 'The service is currently unavailable.');
    return this.#answer(secret, this.secrets.get(secret)?.length ?? 0);
  }

  #list(secret: string, start: number): JsonAnswer {
    const versions = this.secrets.get(secret);
    if (versions === undefined) return this.#missing(secret);
    const numbers = versions.map((_, index) => index + 1).toReversed();
    const next = start + pageSize;
    const page = numbers.slice(start, next).map((number) => this.#answer(secret, number).body);
    const nextPageToken = next < numbers.length ? { nextPageToken: String(next) } : {};
    return { status: 200, body: { ...(page.length > 0 && { versions: page }), ...nextPageToken } };
  }

  #destroy(secret: string, number: number): JsonAnswer {
    const version = this.secrets.get(secret)?.[number - 1];
    if (version?.state === 'DESTROYED') {
      return googleError('FAILED_PRECONDITION', `Secret Version [${number}] is in DESTROYED state.`);
    }
    if (version !== undefined) version.state = 'DESTROYED';
    return this.#answer(secret, number);
  }

  /** The facts of a version. */
  #answer(secret: string, number: number): JsonAnswer {
    const version = this.secrets.get(secret)?.[number - 1];
    const name = `projects/123456/secrets/${secret}/versions/${number}`;
    if (version === undefined) return googleError('NOT_FOUND', `Secret Version [${name}] not found.`);
    const { createTime, state } = version;
    return { status: 200, body: { name, createTime, state, replicationStatus: { automatic: {} } } };
  }

  #missing(secret: string): JsonAnswer {
    return googleError('NOT_FOUND', `Secret [projects/123456/secrets/${secret}] not found.`);
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

function parseVersion(rest: string): { readonly version: string; readonly verb: string } {
  const { version = '', verb = '' } = /^\/versions\/(?<version>[\w-]+)(?<verb>:\w+)?$/.exec(rest)?.groups ?? {};
  return { version, verb };
}

function denied(secret: string): JsonAnswer {
  return googleError(
    'PERMISSION_DENIED',
    `Permission 'secretmanager.versions.access' denied for resource 'projects/test-project/secrets/${secret}' (or it may not exist).`,
  );
}
