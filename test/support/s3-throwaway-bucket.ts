import { randomUUID } from 'node:crypto';
import {
  CreateBucketCommand,
  DeleteBucketCommand,
  DeleteObjectCommand,
  ListObjectVersionsCommand,
  PutBucketVersioningCommand,
  PutObjectLegalHoldCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import type { S3Settings } from '../../src/storage/store-settings.ts';
import { directClient } from './s3-server.ts';

export interface StoredVersion {
  readonly key: string;
  readonly versionId: string;
  readonly isDeleteMarker: boolean;
}

/** A bucket of one test; when disposed it goes with everything in it, also what is locked (but not for compliance). */
export class ThrowawayBucket implements AsyncDisposable {
  readonly name = `librelog-test-${randomUUID()}`;
  readonly client: S3Client;

  private constructor(client: S3Client) {
    this.client = client;
  }

  static async make(
    kind: 'plain' | 'versioned' | 'locked' = 'plain',
    settings: S3Settings = {},
  ): Promise<ThrowawayBucket> {
    const made = new ThrowawayBucket(await directClient(settings));
    const Bucket = made.name;
    await made.client.send(new CreateBucketCommand({ Bucket, ObjectLockEnabledForBucket: kind === 'locked' }));
    if (kind === 'versioned') {
      const VersioningConfiguration = { Status: 'Enabled' } as const;
      await made.client.send(new PutBucketVersioningCommand({ Bucket, VersioningConfiguration }));
    }
    return made;
  }

  /** Every version of every object, and the markers of deletion. */
  async versions(): Promise<StoredVersion[]> {
    const { Versions = [], DeleteMarkers = [] } = await this.client.send(
      new ListObjectVersionsCommand({ Bucket: this.name }),
    );
    const toVersion =
      (isDeleteMarker: boolean) =>
      ({ Key: key = '', VersionId: versionId = '' }): StoredVersion => ({ key, versionId, isDeleteMarker });
    return [...Versions.map(toVersion(false)), ...DeleteMarkers.map(toVersion(true))];
  }

  /** Deletes one version as the server lets it. */
  async deleteVersion({ key, versionId }: StoredVersion, isBypassing = false): Promise<void> {
    const bypass = isBypassing ? { BypassGovernanceRetention: true } : {};
    await this.client.send(new DeleteObjectCommand({ Bucket: this.name, Key: key, VersionId: versionId, ...bypass }));
  }

  async liftLegalHold({ key, versionId }: StoredVersion): Promise<void> {
    const LegalHold = { Status: 'OFF' } as const;
    await this.client.send(
      new PutObjectLegalHoldCommand({ Bucket: this.name, Key: key, VersionId: versionId, LegalHold }),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const version of await this.versions()) {
      if (!version.isDeleteMarker) await this.liftLegalHold(version).catch(() => {});
      await this.deleteVersion(version, true);
    }
    await this.client.send(new DeleteBucketCommand({ Bucket: this.name }));
    this.client.destroy();
  }
}
