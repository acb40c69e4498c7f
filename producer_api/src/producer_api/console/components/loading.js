/** Data of a page: loaded, kept while it is loaded again, and reloaded on request. */
import { useEffect, useState } from "../vendor/ui.js";

/**
 * @template T
 * @param {(signal: AbortSignal) => Promise<T>} load
 * @param {unknown[]} keys loads again when one of them changes
 * @returns {{ data: T | null, error: unknown, loading: boolean, reload: () => void, set: (data: T) => void }}
 */
export function useData(load, keys) {
  const [state, setState] = useState({ data: /** @type {T | null} */ (null), error: /** @type {unknown} */ (null), loading: true, key: "" });
  const [round, setRound] = useState(0);
  const key = JSON.stringify(keys);
  useEffect(() => {
    const abort = new AbortController();
    setState((before) => ({ ...before, data: before.key === key ? before.data : null, error: null, loading: true, key }));
    load(abort.signal).then(
      (data) => !abort.signal.aborted && setState({ data, error: null, loading: false, key }),
      (error) => !abort.signal.aborted && setState((before) => ({ ...before, error, loading: false, key })),
    );
    return () => abort.abort();
  }, [key, round]);
  return {
    data: state.key === key ? state.data : null,
    error: state.error,
    loading: state.loading || state.key !== key,
    reload: () => setRound((value) => value + 1),
    set: (data) => setState({ data, error: null, loading: false, key }),
  };
}
