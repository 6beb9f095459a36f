import { checkValue, isLongText } from '../schema/rules.ts'

/**
 * Reads the YAML of a policy as the storage does, with the same limits: 1 MiB, 100 levels, bounded aliases. Use it where
 * an application interprets policies: a parser without limits can be held up for seconds by 64 KiB of text.
 *
 * @returns one plain value for each YAML document of the text
 * @throws {StorageError} `VALIDATION`, with line and column in `issues`; no message quotes the text
 */
export async function policyDocuments(yamlContent: string): Promise<unknown[]> {
  checkValue('yamlContent', isLongText, yamlContent)
  const { parsedPolicy } = await import('../schema/policy-text.ts')
  return parsedPolicy(yamlContent, 'yamlContent')
}
