/** From this size on, several jobs are worth it. */
const severalJobsFromBytes = 1024 ** 3;
/** More than that are a decision, for the load they put on the server. */
const maxJobsByDefault = 4;

/** How many streams or sessions work side by side where nobody said it. */
export function defaultJobs(sizeBytes: number, cores: number): number {
  return sizeBytes < severalJobsFromBytes ? 1 : Math.min(cores, maxJobsByDefault);
}
