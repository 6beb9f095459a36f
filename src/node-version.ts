/**
 * Refuses a Node that is too old, with a sentence that helps. Imported before everything else: better-sqlite3 ends the
 * process there without a word. What is loaded up to here must itself run on such a Node.
 */

/**
 * better-sqlite3 13 is compiled against Node-API 10 and crashes without it: that came with 22.14 and 23.6
 * (https://nodejs.org/api/n-api.html). `require()` of ES modules, from 22.12 on, is needed too. As in package.json.
 */
const OLDEST_MINOR: Readonly<Record<number, number>> = { 22: 14, 23: 6 }

/** What to tell somebody who runs this version of Node; `undefined` if it is new enough. */
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
