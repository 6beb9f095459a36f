/** A program that is no file, as a line of a crontab runs it. */
import { pathToFileURL } from 'node:url'
import { expect, test } from 'vitest'
import { verifyBackup } from '../../src/index.ts'
import { Program } from '../sqlite/support/program.ts'
import { Script } from '../sqlite/support/script.ts'
import { temporaryFolder } from '../support/folders.ts'

const once = await Script.bundle(new URL('programs/once.ts', import.meta.url))

test.each(['module', 'commonjs'])('makes a backup where it was given as a text: %s', async (type) => {
  using folder = temporaryFolder()
  const [backup, path] = [folder.file('mesh.backup'), folder.file('mesh.db')]
  // The empty argument stands where Node would name the program's file.
  const text = `process.argv.splice(1, 0, ''); import(${JSON.stringify(pathToFileURL(once.file).href)})`
  await using program = new Program(process.execPath, [`--input-type=${type}`, '--eval', text, 'backup', backup, path])
  expect(await program.ended, program.errors).toEqual({ code: 0, signal: null })
  expect((await verifyBackup(backup)).tables.nodes.rows).toBe(0)
})
