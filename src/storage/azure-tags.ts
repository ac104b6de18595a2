import type { AzureCalls } from './azure-calls.ts';
import { azureErrorStatus } from './azure-errors.ts';
import { refusedQuestionStatuses } from './store-calls.ts';

interface TagsAnswer {
  /** Not there for a blob without tags. */
  readonly tagCount?: number | undefined;
}

/** Which of the tags that were asked for are missing, in words; `null` when none is, or the server does not tell. */
export async function tagsDifference(
  calls: AzureCalls,
  key: string,
  { asked, found }: { readonly asked: Readonly<Record<string, string>> | undefined; readonly found: TagsAnswer },
): Promise<string | null> {
  const tags = Object.entries(asked ?? {});
  if (tags.length === 0) return null;
  const count = found.tagCount ?? (await countTags(calls, key, tags));
  if (count === undefined || count >= tags.length) return null;
  return `${tags.length} tags were asked for, and the server has ${count} of them`;
}

async function countTags(
  calls: AzureCalls,
  key: string,
  asked: readonly (readonly [string, string])[],
): Promise<number | undefined> {
  const request = async (): Promise<Record<string, string>> => (await calls.blob(key).getTags()).tags;
  const found = await calls.run(`read the tags of ${calls.describe(key)}`, request).catch((error: unknown) => {
    if (refusedQuestionStatuses.has(azureErrorStatus(error))) return undefined;
    throw error;
  });
  return found && asked.filter(([name, value]) => found[name] === value).length;
}
