import { randomUUID } from 'node:crypto';
import {
  AzureFailure,
  checkBody,
  checkedKeyDigest,
  headerOf,
  type AzureAnswer,
  type AzureRequest,
} from './azure-double-request.ts';

/** How a container behaves, rightly or wrongly. */
export interface AzureBehaviour {
  /** Version-level immutability is enabled. */
  takesLocks: boolean;
  /** Every put makes a version with an id of its own, and old ones can be read by it. */
  keepsVersions: boolean;
  /** The only encryption scope that requests may name; any by default. */
  onlyScope: string | undefined;
  /** What requests ask for and this server silently does not do. */
  readonly ignores: Set<'scope' | 'key' | 'retention' | 'legalHold' | 'conditions' | 'encryption' | 'tier' | 'tags'>;
  /** Blobs in one page of a list. */
  pageSize: number;
}

interface Encryption {
  readonly keyDigest: string | undefined;
  readonly scope: string | undefined;
}

interface Block extends Encryption {
  readonly bytes: Buffer;
}

interface StoredBlob extends Encryption {
  readonly bytes: Buffer;
  readonly blocks: ReadonlyMap<string, Block>;
  readonly etag: string;
  readonly versionId: string;
  readonly modifiedAt: Date;
  readonly metadata: Readonly<Record<string, string>>;
  readonly tier: string | undefined;
  readonly tags: string | undefined;
  retention: { readonly mode: string; readonly until: Date } | undefined;
  legalHold: boolean;
}

/** The blobs of one container, and the operations on them that the store uses, as the REST reference describes them. */
export class AzureDoubleContainer {
  readonly blobs = new Map<string, StoredBlob>();
  readonly versions = new Map<string, StoredBlob>();
  /** Blocks that belong to no blob yet, by the name of the blob. */
  readonly uncommitted = new Map<string, Map<string, Block>>();
  readonly #behaviour: AzureBehaviour;
  #puts = 0;

  constructor(behaviour: AzureBehaviour) {
    this.#behaviour = behaviour;
  }

  handle(name: string, request: AzureRequest): AzureAnswer {
    const operation = `${request.method} ${request.url.searchParams.get('comp') ?? ''}`.trim();
    switch (operation) {
      case 'PUT':
        return this.#putBlob(name, request);
      case 'PUT block':
        return this.#putBlock(name, request);
      case 'PUT blocklist':
        return this.#putBlockList(name, request);
      case 'GET':
        return this.#getBlob(name, request);
      case 'GET tags':
        return this.#getTags(name);
      case 'HEAD':
        return { status: 200, headers: this.#propertiesOf(this.#find(name, request)) };
      case 'DELETE':
        return this.#deleteBlob(name, request);
      default:
        throw new AzureFailure(400, 'UnsupportedQueryParameter');
    }
  }

  list(request: AzureRequest): AzureAnswer {
    const { searchParams } = request.url;
    const prefix = searchParams.get('prefix') ?? '';
    const marker = searchParams.get('marker') ?? '';
    const withUncommitted = searchParams.get('include')?.includes('uncommittedblobs') ?? false;
    const names = new Set([...this.blobs.keys(), ...(withUncommitted ? this.uncommitted.keys() : [])]);
    const rest = [...names].filter((name) => name.startsWith(prefix) && name >= marker).toSorted();
    const page = rest.slice(0, this.#behaviour.pageSize);
    const items = page.map((name) => listItem(name, this.blobs.get(name))).join('');
    const next = rest[this.#behaviour.pageSize] ?? '';
    const body = `<?xml version="1.0" encoding="utf-8"?><EnumerationResults ServiceEndpoint="${request.url.origin}" ContainerName="x"><Prefix>${escapeXml(prefix)}</Prefix><Blobs>${items}</Blobs><NextMarker>${escapeXml(next)}</NextMarker></EnumerationResults>`;
    return { status: 200, headers: { 'content-type': 'application/xml' }, body };
  }

  #putBlob(name: string, request: AzureRequest): AzureAnswer {
    if (headerOf(request, 'x-ms-blob-type') !== 'BlockBlob') throw new AzureFailure(400, 'MissingRequiredHeader');
    checkBody(request);
    this.#checkReplaceable(name, request);
    return this.#commit(name, request, { bytes: request.body, blocks: new Map() });
  }

  #putBlock(name: string, request: AzureRequest): AzureAnswer {
    checkBody(request);
    const id = request.url.searchParams.get('blockid') ?? '';
    const raw = Buffer.from(id, 'base64');
    if (raw.toString('base64') !== id || raw.byteLength === 0 || raw.byteLength > 64) {
      throw new AzureFailure(400, 'InvalidBlockId');
    }
    const blocks = this.uncommitted.get(name) ?? new Map<string, Block>();
    if ([...blocks.keys()].some((other) => other.length !== id.length))
      throw new AzureFailure(400, 'InvalidBlobOrBlock');
    blocks.set(id, { bytes: request.body, ...this.#encryptionOf(request) });
    this.uncommitted.set(name, blocks);
    return { status: 201, headers: this.#appliedTo(this.#encryptionOf(request)) };
  }

  #putBlockList(name: string, request: AzureRequest): AzureAnswer {
    checkBody(request);
    this.#checkReplaceable(name, request);
    const encryption = this.#encryptionOf(request);
    const known = new Map([...(this.blobs.get(name)?.blocks ?? []), ...(this.uncommitted.get(name) ?? [])]);
    const blocks = new Map<string, Block>();
    for (const [, id = ''] of request.body.toString().matchAll(/<Latest>([^<]*)<\/Latest>/g)) {
      const block = known.get(id);
      if (block === undefined) throw new AzureFailure(400, 'InvalidBlockList');
      if (block.keyDigest !== encryption.keyDigest || block.scope !== encryption.scope) {
        throw new AzureFailure(409, 'BlobCustomerSpecifiedEncryptionMismatch');
      }
      blocks.set(id, block);
    }
    const bytes = Buffer.concat([...blocks.values()].map((block) => block.bytes));
    return this.#commit(name, request, { bytes, blocks });
  }

  #commit(
    name: string,
    request: AzureRequest,
    content: { readonly bytes: Buffer; readonly blocks: ReadonlyMap<string, Block> },
  ): AzureAnswer {
    const { ignores } = this.#behaviour;
    const { retention, legalHold } = this.#locksOf(request);
    const number = (this.#puts += 1);
    const metadata = Object.keys(request.headers).filter((header) => header.startsWith('x-ms-meta-'));
    const blob: StoredBlob = {
      ...content,
      ...this.#encryptionOf(request),
      etag: `"0x8D${randomUUID().slice(0, 12).toUpperCase()}"`,
      versionId: new Date(Date.now() + number).toISOString().replace('Z', `${String(number).padStart(4, '0')}Z`),
      modifiedAt: new Date(),
      metadata: Object.fromEntries(metadata.map((header) => [header, headerOf(request, header) ?? ''])),
      tier: ignores.has('tier') ? undefined : headerOf(request, 'x-ms-access-tier'),
      tags: ignores.has('tags') ? undefined : headerOf(request, 'x-ms-tags'),
      retention: ignores.has('retention') ? undefined : retention,
      legalHold: legalHold && !ignores.has('legalHold'),
    };
    this.blobs.set(name, blob);
    this.uncommitted.delete(name);
    if (this.#behaviour.keepsVersions) this.versions.set(`${name}?${blob.versionId}`, blob);
    return { status: 201, headers: { ...this.#identityOf(blob), ...this.#appliedTo(blob) } };
  }

  /** Needs no customer's key. */
  #getTags(name: string): AzureAnswer {
    const blob = this.blobs.get(name);
    if (blob === undefined) throw new AzureFailure(404, 'BlobNotFound');
    const tags = tagsOf(blob).map(
      ([tag, value]) => `<Tag><Key>${escapeXml(tag)}</Key><Value>${escapeXml(value)}</Value></Tag>`,
    );
    const body = `<?xml version="1.0" encoding="utf-8"?><Tags><TagSet>${tags.join('')}</TagSet></Tags>`;
    return { status: 200, headers: { 'content-type': 'application/xml' }, body };
  }

  #getBlob(name: string, request: AzureRequest): AzureAnswer {
    const blob = this.#find(name, request);
    const wanted = headerOf(request, 'if-match');
    if (wanted !== undefined && wanted !== blob.etag) throw new AzureFailure(412, 'ConditionNotMet');
    if (blob.tier === 'Archive') throw new AzureFailure(409, 'BlobArchived');
    const range = headerOf(request, 'x-ms-range') ?? headerOf(request, 'range');
    const headers = this.#propertiesOf(blob);
    const size = blob.bytes.byteLength;
    if (range === undefined) return { status: 200, headers, body: blob.bytes };
    const [, start = 'x', end = ''] = /^bytes=(\d+)-(\d*)$/.exec(range) ?? [];
    if (!(Number(start) < size)) throw new AzureFailure(416, 'InvalidRange');
    const last = end === '' ? size - 1 : Math.min(Number(end), size - 1);
    const body = blob.bytes.subarray(Number(start), last + 1);
    return {
      status: 206,
      headers: {
        ...headers,
        'content-length': String(body.byteLength),
        'content-range': `bytes ${start}-${last}/${size}`,
      },
      body,
    };
  }

  #deleteBlob(name: string, request: AzureRequest): AzureAnswer {
    const versionId = request.url.searchParams.get('versionid');
    if (versionId !== null) return this.#deleteVersion(name, versionId);
    const blob = this.blobs.get(name);
    if (blob === undefined) throw new AzureFailure(404, 'BlobNotFound');
    const wanted = headerOf(request, 'if-match');
    if (wanted !== undefined && wanted !== blob.etag) throw new AzureFailure(412, 'ConditionNotMet');
    // With versions, the current one becomes an earlier one, which keeps its lock.
    if (!this.#behaviour.keepsVersions) checkUnlocked(blob);
    this.blobs.delete(name);
    return { status: 202 };
  }

  /** The current version goes with the blob alone: deleting that makes an earlier version of it. */
  #deleteVersion(name: string, versionId: string): AzureAnswer {
    const id = `${name}?${versionId}`;
    const version = this.versions.get(id);
    if (version === undefined) throw new AzureFailure(404, 'BlobNotFound');
    if (version === this.blobs.get(name)) throw new AzureFailure(403, 'OperationNotAllowedOnRootBlob');
    checkUnlocked(version);
    this.versions.delete(id);
    return { status: 202 };
  }

  /** The blob that a read means; only whoever has its key may have it. */
  #find(name: string, request: AzureRequest): StoredBlob {
    const versionId = request.url.searchParams.get('versionid');
    const blob = versionId === null ? this.blobs.get(name) : this.versions.get(`${name}?${versionId}`);
    if (blob === undefined) throw new AzureFailure(404, 'BlobNotFound');
    const keyDigest = checkedKeyDigest(request);
    if (blob.keyDigest === keyDigest || this.#behaviour.ignores.has('key')) return blob;
    if (keyDigest === undefined) throw new AzureFailure(409, 'BlobUsesCustomerSpecifiedEncryption');
    if (blob.keyDigest === undefined) throw new AzureFailure(409, 'BlobDoesNotUseCustomerSpecifiedEncryption');
    throw new AzureFailure(409, 'BlobCustomerSpecifiedEncryptionMismatch');
  }

  #checkReplaceable(name: string, request: AzureRequest): void {
    const there = this.blobs.get(name);
    if (there === undefined) return;
    if (headerOf(request, 'if-none-match') === '*' && !this.#behaviour.ignores.has('conditions')) {
      throw new AzureFailure(409, 'BlobAlreadyExists');
    }
    if (!this.#behaviour.keepsVersions) checkUnlocked(there);
  }

  #encryptionOf(request: AzureRequest): Encryption {
    const { ignores, onlyScope } = this.#behaviour;
    const keyDigest = checkedKeyDigest(request);
    const scope = headerOf(request, 'x-ms-encryption-scope');
    if (scope !== undefined && onlyScope !== undefined && scope !== onlyScope) {
      throw new AzureFailure(403, 'RequestForbiddenByContainerEncryptionPolicy');
    }
    return {
      keyDigest: ignores.has('key') ? undefined : keyDigest,
      scope: ignores.has('scope') ? undefined : scope,
    };
  }

  #locksOf(request: AzureRequest): Pick<StoredBlob, 'retention' | 'legalHold'> {
    const until = headerOf(request, 'x-ms-immutability-policy-until-date');
    const mode = headerOf(request, 'x-ms-immutability-policy-mode') ?? '';
    const legalHold = headerOf(request, 'x-ms-legal-hold') === 'true';
    if (until === undefined && !legalHold) return { retention: undefined, legalHold };
    if (!this.#behaviour.takesLocks) throw new AzureFailure(409, 'BlobOperationNotSupported');
    if (until === undefined) return { retention: undefined, legalHold };
    const date = new Date(until);
    const isSound = date.toUTCString() === until && date.getTime() > Date.now() && /^(Unl|L)ocked$/.test(mode);
    if (!isSound) throw new AzureFailure(400, 'InvalidHeaderValue');
    return { retention: { mode: mode.toLowerCase(), until: date }, legalHold };
  }

  #identityOf(blob: StoredBlob): Record<string, string> {
    return {
      etag: blob.etag,
      'last-modified': blob.modifiedAt.toUTCString(),
      ...(this.#behaviour.keepsVersions && { 'x-ms-version-id': blob.versionId }),
    };
  }

  #appliedTo({ keyDigest, scope }: Encryption): Record<string, string> {
    return {
      ...(!this.#behaviour.ignores.has('encryption') && { 'x-ms-request-server-encrypted': 'true' }),
      ...(keyDigest !== undefined && { 'x-ms-encryption-key-sha256': keyDigest }),
      ...(scope !== undefined && { 'x-ms-encryption-scope': scope }),
    };
  }

  #propertiesOf(blob: StoredBlob): Record<string, string> {
    const { 'x-ms-request-server-encrypted': isEncrypted, ...applied } = this.#appliedTo(blob);
    return {
      ...this.#identityOf(blob),
      ...applied,
      ...(isEncrypted !== undefined && { 'x-ms-server-encrypted': isEncrypted }),
      ...blob.metadata,
      ...(blob.retention !== undefined && {
        'x-ms-immutability-policy-until-date': blob.retention.until.toUTCString(),
        'x-ms-immutability-policy-mode': blob.retention.mode,
      }),
      ...(blob.legalHold && { 'x-ms-legal-hold': 'true' }),
      'content-length': String(blob.bytes.byteLength),
      'content-type': 'application/octet-stream',
      'accept-ranges': 'bytes',
      'x-ms-blob-type': 'BlockBlob',
      'x-ms-access-tier': blob.tier ?? 'Hot',
      ...(blob.tier === undefined && { 'x-ms-access-tier-inferred': 'true' }),
      // Not there for a blob without tags.
      ...(tagsOf(blob).length > 0 && { 'x-ms-tag-count': String(tagsOf(blob).length) }),
    };
  }
}

function checkUnlocked({ retention, legalHold }: StoredBlob): void {
  if (legalHold) throw new AzureFailure(409, 'BlobImmutableDueToLegalHold');
  if (retention !== undefined && retention.until.getTime() > Date.now()) {
    throw new AzureFailure(409, 'BlobImmutableDueToPolicy');
  }
}

function tagsOf({ tags }: StoredBlob): readonly (readonly [string, string])[] {
  return [...new URLSearchParams(tags)];
}

function listItem(name: string, blob: StoredBlob | undefined): string {
  const properties =
    blob === undefined
      ? '<Content-Length>0</Content-Length>'
      : `<Last-Modified>${blob.modifiedAt.toUTCString()}</Last-Modified><Etag>${blob.etag.replaceAll('"', '')}</Etag><Content-Length>${blob.bytes.byteLength}</Content-Length>`;
  return `<Blob><Name>${escapeXml(name)}</Name><Properties>${properties}<BlobType>BlockBlob</BlobType></Properties></Blob>`;
}

const xmlEntities: Readonly<Record<string, string>> = {
  '<': '&lt;',
  '>': '&gt;',
  '&': '&amp;',
  '"': '&quot;',
  "'": '&apos;',
};

function escapeXml(text: string): string {
  return text.replace(/[<>&"']/g, (character) => xmlEntities[character] ?? character);
}
