/** A list as one parameter, for json_each(). */
export const jsonArray = { mapToDriverValue: (list: unknown): string => JSON.stringify(list) }
