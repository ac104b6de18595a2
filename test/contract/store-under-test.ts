import type { ObjectStore } from '../../src/storage/object-store.ts';

export interface StoreUnderTest {
  /** Opens an empty store that nobody else uses. */
  readonly open: () => Promise<ObjectStore>;
  /** What is in the place behind the store beside its objects: temporary files, unfinished uploads. */
  readonly leftovers: (store: ObjectStore) => Promise<readonly string[]>;
  /** Leaves an unfinished upload of `key` as a killed process would; `null` where no such thing can be, or be listed. */
  readonly abandonUpload: ((store: ObjectStore, key: string) => Promise<void>) | null;
  /** A store in the same place that is not there at all: a missing folder or bucket. */
  readonly openMissing?: () => Promise<ObjectStore>;
  /** Size of a body that this store keeps in several pieces. */
  readonly largeBytes?: number;
}
