"""The prediction that a request is about."""

from uuid import UUID

from aiohttp import web

from producer_api.http.auth import CALLER
from producer_api.predictions.errors import PredictionDeleted, PredictionNotFound
from producer_api.predictions.receipts import RECEIPTS
from producer_api.predictions.store import PREDICTIONS, Prediction


def prediction_id(request: web.Request) -> UUID:
    """Return the id in the path. Raises PredictionNotFound if it is none: the same as for an unknown one."""
    try:
        return UUID(request.match_info["prediction_id"])
    except ValueError:
        raise PredictionNotFound from None


async def read_prediction(request: web.Request) -> Prediction:
    """Read the prediction in the path.

    Raises:
        PredictionNotFound: its id is unknown, malformed or another tenant's.
        PredictionDeleted: there was one.
    """
    prediction = await request.app[PREDICTIONS].read_prediction(
        prediction_id(request), request[CALLER].tenant_id
    )
    if prediction is None:
        raise await missing(request)
    return prediction


async def missing(request: web.Request) -> PredictionNotFound | PredictionDeleted:
    """Return the error for the prediction in the path, which has no row."""
    receipt = await request.app[RECEIPTS].read_receipt(prediction_id(request), request[CALLER].tenant_id)
    return PredictionNotFound() if receipt is None else PredictionDeleted(receipt)
