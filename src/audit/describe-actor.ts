import { hostname, userInfo } from 'node:os';
import type { AuditActor } from './audit-event.ts';

/** Variables that name a job, none of which is ever a secret. */
const jobVariables = [
  // GitHub Actions, Gitea, Forgejo
  'GITHUB_REPOSITORY',
  'GITHUB_WORKFLOW',
  'GITHUB_JOB',
  'GITHUB_RUN_ID',
  'GITHUB_RUN_ATTEMPT',
  'GITHUB_ACTOR',
  // GitLab
  'CI_PROJECT_PATH',
  'CI_PIPELINE_ID',
  'CI_JOB_ID',
  'GITLAB_USER_LOGIN',
  // Jenkins
  'BUILD_TAG',
  // Azure Pipelines
  'SYSTEM_TEAMPROJECT',
  'BUILD_BUILDID',
  'SYSTEM_JOBID',
  // Buildkite, CircleCI, Bitbucket, Drone and Woodpecker
  'BUILDKITE_BUILD_ID',
  'BUILDKITE_JOB_ID',
  'CIRCLE_WORKFLOW_ID',
  'CIRCLE_BUILD_NUM',
  'BITBUCKET_REPO_FULL_NAME',
  'BITBUCKET_BUILD_NUMBER',
  'DRONE_REPO',
  'DRONE_BUILD_NUMBER',
  'CI_REPO',
  'CI_PIPELINE_NUMBER',
  // systemd
  'INVOCATION_ID',
] as const;

type Environment = Readonly<Record<string, string | undefined>>;

/** Who does what is recorded: user and host from the system, job and pod from the environment. */
export function describeActor(env: Environment): AuditActor {
  const job = jobVariables.flatMap((name) => {
    const value = clean(env[name]);
    return value === undefined ? [] : [[name, value] as const];
  });
  const sudoUser = clean(env['SUDO_USER']);
  const pod = env['KUBERNETES_SERVICE_HOST'] === undefined ? undefined : clean(env['HOSTNAME']);
  return {
    user: clean(readUserName()) ?? 'unknown',
    ...(sudoUser !== undefined && { sudoUser }),
    host: clean(hostname()) ?? 'unknown',
    pid: process.pid,
    ...(pod !== undefined && { pod }),
    ...(job.length > 0 && { job: Object.fromEntries(job) }),
  };
}

/** Containers often run as a number that the system has no name for. */
function readUserName(): string {
  try {
    return userInfo().username;
  } catch {
    return `uid:${process.getuid?.() ?? 'unknown'}`;
  }
}

function clean(value: string | undefined): string | undefined {
  return value === undefined || value === '' ? undefined : value.slice(0, 256).toWellFormed();
}
