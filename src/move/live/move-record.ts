/** That a file is being moved, and where to. */
import type { SqliteDatabase } from '../../database/sqlite/sqlite-database.ts'
import { StorageError } from '../../errors.ts'
import { remembered } from '../../repositories/state.ts'
import { encodeTime } from '../../schema/codecs.ts'
import { type Course, consumerOf, MOVE } from './progress.ts'

export async function courseOf(file: SqliteDatabase): Promise<Course | undefined> {
  const found = await remembered(file.session, MOVE)
  return found && (JSON.parse(found.value) as Course)
}

/** The move that is under way, or one that begins. Throws CONFIG if the file moves elsewhere. */
export async function setOut(file: SqliteDatabase, to: string): Promise<Course> {
  return file.write(({ raw }) => {
    const select = raw.prepare<[string], string>('SELECT value FROM meshstore_state WHERE name = ?').pluck()
    const value = select.get(MOVE)
    if (value !== undefined) {
      const course = JSON.parse(value) as Course
      assertCourse(course, to)
      return course
    }
    const course: Course = { id: crypto.randomUUID(), to }
    raw
      .prepare('INSERT INTO meshstore_state (name, value, updated_at) VALUES (?, ?, ?)')
      .run(MOVE, JSON.stringify(course), encodeTime(new Date()))
    return course
  })
}

/** Throws CONFIG. */
export function assertCourse(course: Course, to: string): void {
  if (course.to === to) return
  throw new StorageError(
    'CONFIG',
    `The data is being moved to ${course.to}, not to ${to}. Go on with that move, or abort it first.`,
  )
}

/** The file is as it was before the move. */
export async function giveUp(file: SqliteDatabase, course: Course): Promise<void> {
  await file.changeLog.end(consumerOf(course))
  await file.write(({ raw }) => raw.prepare('DELETE FROM meshstore_state WHERE name = ?').run(MOVE))
}
