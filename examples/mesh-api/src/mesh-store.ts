/** The storage with the application's tables. */
import { openStorage, type StorageOptions } from 'meshstore'
import { migrations, tables } from './tables/schema.ts'

export const openMesh = (options: StorageOptions) => openStorage({ ...options, tables, migrations })

export type MeshStore = Awaited<ReturnType<typeof openMesh>>
export type MeshTransaction = Parameters<Parameters<MeshStore['transaction']>[0]>[0]
