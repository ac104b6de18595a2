import { MemoryStore } from '../support/memory-store.ts';
import { testObjectStore } from './object-store-contract.ts';

testObjectStore('memory', { open: async () => new MemoryStore(), leftovers: async () => [], abandonUpload: null });
