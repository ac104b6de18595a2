import { createHash, createHmac } from 'node:crypto';
import { CannedHttp, type CannedAnswer, type SeenRequest } from './canned-http.ts';

export interface AwsRequest {
  /** `TrentService.Encrypt`, `secretsmanager.GetSecretValue`. */
  readonly target: string;
  readonly input: Readonly<Record<string, unknown>>;
  /** The region and the session token that the request was signed for and with. */
  readonly region: string;
  readonly sessionToken: string | undefined;
}

/** The output of an operation, an error of the service, or something else than its protocol has. */
export type AwsAnswer = { readonly output: object } | AwsError | { readonly foreign: CannedAnswer };

export interface AwsError {
  readonly error: string;
  readonly message?: string;
  readonly status?: number;
}

const secretAccessKey = 'secret-key';
/** The most a request's clock may be off (Signature Version 4). */
const maxSkewMs = 5 * 60_000;

/**
 * A service that speaks AWS JSON 1.1 (the protocol of KMS and Secrets Manager), with answers as they are told. Every
 * request must be what the protocol wants and have a valid signature (Signature Version 4) of the key of
 * `ownAwsEnvironment`; one that is not gets the documented error and is not answered as told.
 */
export class AwsJsonDouble implements AsyncDisposable {
  /** The requests that were in order. */
  readonly requests: AwsRequest[] = [];
  readonly #answer: (request: AwsRequest, index: number) => AwsAnswer;
  #http: CannedHttp | undefined;

  private constructor(answer: (request: AwsRequest, index: number) => AwsAnswer) {
    this.#answer = answer;
  }

  static async start(answer: (request: AwsRequest, index: number) => AwsAnswer): Promise<AwsJsonDouble> {
    const double = new AwsJsonDouble(answer);
    double.#http = await CannedHttp.start((request) => double.#serve(request));
    return double;
  }

  get endpoint(): string {
    return this.#http?.endpoint ?? '';
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#http?.[Symbol.asyncDispose]();
  }

  #serve(seen: SeenRequest): CannedAnswer {
    const problem = findProblem(seen);
    if (problem !== undefined) return toAnswer(problem);
    const { headers, body } = seen;
    const request = {
      target: String(headers['x-amz-target']),
      input: JSON.parse(body.toString()) as Record<string, unknown>,
      region: scopeOf(seen)[1] ?? '',
      sessionToken: headers['x-amz-security-token']?.toString(),
    };
    this.requests.push(request);
    return toAnswer(this.#answer(request, this.requests.length - 1));
  }
}

function toAnswer(answer: AwsAnswer): CannedAnswer {
  if ('foreign' in answer) return answer.foreign;
  const headers = { 'content-type': 'application/x-amz-json-1.1', 'x-amzn-requestid': 'request-id' };
  if ('output' in answer) return { status: 200, headers, body: JSON.stringify(answer.output) };
  const { error, message, status = 400 } = answer;
  return { status, headers, body: JSON.stringify({ __type: error, ...(message !== undefined && { message }) }) };
}

function findProblem(request: SeenRequest): AwsError | undefined {
  const { method, path, headers } = request;
  const isJson = headers['content-type'] === 'application/x-amz-json-1.1';
  const isCall = method === 'POST' && path === '/' && isJson;
  if (!isCall || !/^(TrentService|secretsmanager)\.\w+$/.test(String(headers['x-amz-target']))) {
    return { error: 'UnknownOperationException', status: 404 };
  }
  return findSignatureProblem(request);
}

/** Signature Version 4: "Create a signed AWS API request" in the IAM User Guide. */
function findSignatureProblem(request: SeenRequest): AwsError | undefined {
  const { headers } = request;
  const { signedHeaders = '', signature } = parseAuthorization(headers.authorization);
  const names = signedHeaders.split(';');
  const time = String(headers['x-amz-date']);
  if (signature === undefined || !['host', 'x-amz-date', 'x-amz-target'].every((name) => names.includes(name))) {
    return { error: 'IncompleteSignatureException', message: 'Authorization header lacks what it needs' };
  }
  const sentAt = Date.parse(time.replace(/^(....)(..)(..T..)(..)(..Z)$/, '$1-$2-$3:$4:$5'));
  if (!(Math.abs(sentAt - Date.now()) < maxSkewMs)) {
    return { error: 'InvalidSignatureException', message: `Signature expired: ${time}` };
  }
  const lines = names.map((name) => `${name}:${String(headers[name]).trim()}\n`).join('');
  const canonical = `POST\n/\n\n${lines}\n${signedHeaders}\n${sha256(request.body)}`;
  const scope = scopeOf(request);
  const text = `AWS4-HMAC-SHA256\n${time}\n${scope.join('/')}\n${sha256(canonical)}`;
  const key = scope.reduce((key: string | Buffer, part) => hmac(key, part), `AWS4${secretAccessKey}`);
  if (hmac(key, text).toString('hex') === signature) return undefined;
  return { error: 'InvalidSignatureException', message: 'The request signature we calculated does not match' };
}

function parseAuthorization(header: string | undefined): Readonly<Record<string, string | undefined>> {
  const pattern =
    /^AWS4-HMAC-SHA256 Credential=(?<keyId>[^/]+)\/(?<scope>[^,]+), SignedHeaders=(?<signedHeaders>[^,]+), Signature=(?<signature>[0-9a-f]{64})$/;
  return pattern.exec(header ?? '')?.groups ?? {};
}

/** Date, region, service and `aws4_request`. */
function scopeOf({ headers }: SeenRequest): string[] {
  return (parseAuthorization(headers.authorization)['scope'] ?? '').split('/');
}

function sha256(data: string | Buffer): string {
  return createHash('sha256').update(data).digest('hex');
}

function hmac(key: string | Buffer, data: string): Buffer {
  return createHmac('sha256', key).update(data).digest();
}
