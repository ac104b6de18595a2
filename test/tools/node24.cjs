// Runs the rest of the command line with a Node that the product supports, whatever Node started this file:
// this one, the `node` package's, or - where install scripts are blocked - the platform package fetched by npm.
'use strict';
const { spawnSync } = require('node:child_process');
const { existsSync } = require('node:fs');
const { join } = require('node:path');

const root = join(__dirname, '..', '..');
const wanted = require(join(root, 'package.json')).devDependencies.node;

function isSupported(version) {
  const [major, minor] = version.split('.').map(Number);
  return major > 24 || (major === 24 && minor >= 20);
}

function packagedNode() {
  const own = join(root, 'node_modules', 'node', 'bin', 'node');
  if (existsSync(own)) return own;
  const platform = `node-${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`;
  const fallback = join(root, 'node_modules', platform, 'bin', 'node');
  if (existsSync(fallback)) return fallback;
  const install = ['install', '--no-save', '--ignore-scripts', `${platform}@${wanted}`];
  const npm = spawnSync('npm', install, { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] });
  if (npm.status === 0 && existsSync(fallback)) return fallback;
  throw new Error(`this needs Node >= 24.20, and the npm package ${platform}@${wanted} cannot be had`);
}

const node = isSupported(process.versions.node) ? process.execPath : packagedNode();
const env = { ...process.env, PATH: `${join(node, '..')}:${process.env.PATH}` };
const run = spawnSync(node, process.argv.slice(2), { stdio: 'inherit', env });
if (run.error) throw run.error;
if (run.signal) process.kill(process.pid, run.signal);
process.exitCode = run.status ?? 1;
