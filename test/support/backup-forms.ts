import { aesKey, type Story, type StoryTeller } from './story.ts';

/** Makes the database `source`, and backups of it as an archive, a script and streams, with these words as their labels. */
export async function backUpInEveryForm(teller: StoryTeller, definitions: string): Promise<Story> {
  const { cluster } = teller;
  await cluster.createDatabase('source');
  await cluster.runSql('source', definitions);
  const story = teller.story();
  await story.create('source', `${aesKey} --label archive`);
  await story.create('source', `${aesKey} --label script --format plain`);
  await story.create('source', `${aesKey} --label streams --jobs 2`);
  return story;
}
