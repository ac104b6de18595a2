import { rm } from 'node:fs/promises';
import { writeNewFile } from './write-new-file.ts';

export interface NewFile {
  readonly path: string;
  readonly content: string | Uint8Array;
  readonly mode: number;
}

/** Writes all of these files or none. Errors as `writeNewFile`. */
export async function writeNewFiles(files: readonly NewFile[]): Promise<void> {
  const written: string[] = [];
  try {
    for (const { path, content, mode } of files) {
      await writeNewFile(path, content, mode);
      written.push(path);
    }
  } catch (error) {
    for (const path of written) await rm(path, { force: true });
    throw error;
  }
}
