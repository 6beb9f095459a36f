/**
 * Refuses a Node that is too old, with a helpful message. It is imported first, since better-sqlite3 ends an old Node without
 * one. This file must itself run on an old Node.
 */

/**
 * better-sqlite3 13 is compiled against Node-API 10 and crashes without it: that came with 22.14 and 23.6
 * (https://nodejs.org/api/n-api.html). `require()` of ES modules, from 22.12 on, is needed too. As in package.json.
 */
const OLDEST_MINOR: Readonly<Record<number, number>> = { 22: 14, 23: 6 }

/** The message for this version of Node; `undefined` if it is new enough. */
function problemOf(version: string): string | undefined {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  if (major > 23) return undefined
  const oldest = OLDEST_MINOR[major]
  if (oldest !== undefined && minor >= oldest) return undefined
  return [
    `meshstore needs Node.js 22.14, 23.6 or newer, and this is ${version}.`,
    'Install a newer one from https://nodejs.org, or only for this project: `npm i node@24`, then start your program',
    'with `npx node app.mjs`.',
  ].join(' ')
}

const problem = problemOf(process.versions.node)
if (problem !== undefined) throw new Error(problem)
