"""What is known about the telco churn model's features before any training.

The headers and spellings that customers use, the valid ranges and the wording of reasons. The training adds
the statistics and which columns are required; together they are the features of the card.
"""

from collections.abc import Iterable, Mapping

from ml_models.card import (
    CategoricalSpecification,
    CategoricalWording,
    CustomerValue,
    ExcludedColumn,
    Gate,
    ImpliedCategory,
    NumberedCategories,
    NumericSpecification,
    NumericWording,
    Outcome,
    Specification,
    normalise,
)

NAME = "telco-churn"
VERSION = "1.0.0"
DESCRIPTION = (
    "Probability that a telecom customer leaves within the month, from contract, services and billing"
)

TRADE = "telecom"

LABEL = "Churn"
POSITIVE = "Yes"
NEGATIVE = "No"

ID_ALIASES = (
    "customerID", "customer_id", "customer id", "customer number", "customer no", "customer key", "cust id",
    "custid", "account_id", "accountid", "account number", "account no", "client id", "clientid",
    "subscriber id", "subscriberid", "user id", "userid", "member id", "contact id", "crm id", "id",
    "kundennummer", "kunden id", "kunden nr", "kundennr", "kundenkennung", "kunden nummer",
    "numéro client", "numéro de client", "n client", "id client", "identifiant client", "code client",
    "référence client",
    "id de cliente", "id del cliente", "id cliente", "número de cliente", "n de cliente", "código de cliente",
    "código cliente", "identificador de cliente",
    "id do cliente", "número do cliente", "código do cliente",
    "codice cliente", "numero cliente", "identificativo cliente",
    "klantnummer", "klant id", "klantnr", "klant nr", "klantcode",
    # Last resort: these may contain a name or a phone number.
    "account", "customer", "msisdn",
)  # fmt: skip

_YES = (
    "yes", "y", "true", "t", "1", "1.0", "on",
    "ja", "j", "wahr", "oui", "vrai", "sí", "s", "verdadero", "sim", "verdadeiro", "vero", "waar",
)  # fmt: skip
_NO = (
    "no", "n", "false", "f", "0", "0.0", "off",
    "nein", "falsch", "non", "faux", "falso", "não", "nee", "onwaar",
)  # fmt: skip
_BOOKED = (
    *_YES,
    "active", "activated", "enabled", "included", "subscribed", "booked", "checked",
    "aktiv", "aktiviert", "gebucht", "actif", "activé", "inclus", "activo", "ativo", "attivo", "actief",
)  # fmt: skip
"""Words for a service that a customer has."""
_NOT_BOOKED = (
    *_NO,
    "inactive", "not active", "deactivated", "disabled", "not included", "not subscribed", "not booked",
    "unchecked", "not checked",
    "inaktiv", "nicht aktiv", "deaktiviert", "nicht gebucht", "inactif", "désactivé", "non inclus",
    "inactivo", "inativo", "inattivo", "inactief", "niet actief",
)  # fmt: skip
_NO_INTERNET = (
    "no internet", "no internet service", "without internet",
    "kein internet", "kein internetdienst", "ohne internet",
    "pas d'internet", "pas de service internet", "sans internet",
    "sin internet", "sin servicio de internet", "no tiene internet",
    "sem internet", "sem serviço de internet", "não tem internet",
    "senza internet", "nessun servizio internet",
    "geen internet", "geen internetdienst", "zonder internet",
)  # fmt: skip
_NO_PHONE = (
    "no phone", "no phone service", "without phone",
    "kein telefon", "kein telefondienst", "ohne telefon",
    "pas de téléphone", "pas de service téléphonique", "sans téléphone",
    "sin teléfono", "sin servicio telefónico", "no tiene teléfono",
    "sem telefone", "sem serviço telefônico", "sem serviço de telefone", "não tem telefone",
    "senza telefono", "nessun servizio telefonico",
    "geen telefoon", "geen telefoondienst", "zonder telefoon",
)  # fmt: skip

_SEVERAL = ("2", "3", "4", "5", "6", "7", "8", "9")

_CODES = (NumberedCategories(unit="codes", categories={}, telling=_SEVERAL),)
"""For Yes or No: with a 2 among the numbers, 1 need not be Yes nor 0 No."""

_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue"})


def _with_umlauts_written_out(words: Iterable[str]) -> tuple[str, ...]:
    """Add to each word with umlauts the spelling of systems that have none: `jährlich`, `jaehrlich`."""
    return tuple(dict.fromkeys(spelling for word in words for spelling in (word, word.translate(_UMLAUTS))))


def _spellings(categories: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    """Map every normalised spelling, the category's own included, to its category."""
    return {
        normalise(spelling): category
        for category, others in categories.items()
        for spelling in _with_umlauts_written_out((category, *others))
    }


def _categorical(
    name: str,
    label: str,
    categories: Mapping[str, tuple[str, ...]],
    phrases: Mapping[str, str],
    *,
    aliases: tuple[str, ...],
    numbered: tuple[NumberedCategories, ...] = (),
    gate: Gate | None = None,
    implied: ImpliedCategory | None = None,
) -> CategoricalSpecification:
    """Build a categorical feature from its categories, their other spellings and their phrases."""
    inner = label[0].lower() + label[1:]
    return CategoricalSpecification(
        name=name,
        label=label,
        aliases=_with_umlauts_written_out(aliases),
        categories=tuple(categories),
        category_aliases=_spellings(categories),
        numbered=numbered,
        gate=gate,
        implied=implied,
        wording=CategoricalWording(
            categories=phrases, unseen=f"Unfamiliar {inner} “{{value}}”", missing=f"Unknown {inner}"
        ),
    )


def _internet_add_on(
    name: str, label: str, thing: str, *, aliases: tuple[str, ...]
) -> CategoricalSpecification:
    """Build the feature for an extra that only customers with internet can book."""
    return _categorical(
        name,
        label,
        {"No": _NOT_BOOKED, "No internet service": _NO_INTERNET, "Yes": _BOOKED},
        {
            "No": f"No {thing}",
            "No internet service": f"{label} not applicable (no internet)",
            "Yes": thing[0].upper() + thing[1:],
        },
        aliases=aliases,
        numbered=_CODES,
        implied=ImpliedCategory(
            feature="InternetService", category="No", written="No", means="No internet service"
        ),
    )


# Headers and values are listed by language: English, German, French, Spanish, Portuguese, Italian, Dutch.
# Accents are folded when they are compared, so each is written once.
SPECIFICATION: tuple[Specification, ...] = (
    NumericSpecification(
        name="tenure",
        label="Tenure",
        aliases=_with_umlauts_written_out(
            (
                "tenure months", "tenure in months", "months", "months active", "active months",
                "months as customer", "months with us", "months subscribed", "months on book",
                "customer tenure", "customer age months", "length of service", "subscription length",
                "subscription months",
                "vertragsdauer", "kundendauer", "kundenzugehörigkeit", "monate als kunde", "monate mit uns",
                "kundenmonate", "dauer der kundenbeziehung",
                "ancienneté", "ancienneté client", "ancienneté du client", "mois d'ancienneté",
                "mois avec nous", "mois en tant que client", "mois d'abonnement",
                "antigüedad", "antigüedad cliente", "antigüedad del cliente", "meses de antigüedad",
                "meses como cliente", "meses con nosotros",
                "tempo de contrato", "tempo de casa", "tempo como cliente", "tempo de cliente",
                "meses de contrato", "antiguidade", "meses de casa",
                "anzianità", "anzianità cliente", "anzianità del cliente", "mesi di anzianità",
                "mesi come cliente", "mesi da cliente",
                "looptijd", "klantduur", "maanden klant", "maanden als klant", "duur klantrelatie",
            )
        ),
        changeable=False,
        unit="months",
        valid_min=0,
        valid_max=1200,  # a hundred years
        wording=NumericWording(
            value="Tenure of {value} months", one="Tenure of 1 month", missing="Unknown tenure", decimals=1
        ),
    ),
    _categorical(
        "Contract",
        "Contract",
        {
            "Month-to-month": (
                "m2m", "mtm", "monthly", "month to month contract", "month to month plan", "month by month",
                "month", "1 month", "one month", "1 mo", "1 month contract", "one month contract", "rolling",
                "monthly rolling", "rolling monthly", "monthly contract", "monthly plan", "no contract",
                "no commitment", "month to month no commitment",
                "monatlich", "monatlich kündbar", "monatsweise", "monat zu monat", "monatsvertrag", "1 monat",
                "ein monat",
                "mensuel", "mensuelle", "mois par mois", "au mois", "1 mois", "un mois", "sans engagement",
                "mensual", "mes a mes", "1 mes", "un mes", "sin permanencia",
                "mensal", "um mês", "sem fidelidade",
                "mensile", "mese per mese", "1 mese", "un mese", "senza vincolo",
                "maandelijks", "maandelijks opzegbaar", "per maand", "maand tot maand", "maandcontract",
                "1 maand", "een maand",
            ),
            "One year": (
                "1 year", "1yr", "1 yr", "1y", "one yr", "12 months", "12 month", "12 mo", "12m",
                "twelve months", "annual", "yearly", "one year contract", "1 year contract",
                "12 month contract", "12 months contract", "annual contract", "yearly contract",
                "one year plan", "1 year plan", "12 month plan", "annual plan", "yearly plan",
                "one year 12 months",
                "1 jahr", "ein jahr", "einjährig", "jährlich", "jahresvertrag", "12 monate", "zwölf monate",
                "1 an", "un an", "annuel", "annuelle", "12 mois",
                "1 año", "un año", "anual", "12 meses",
                "um ano",
                "1 anno", "un anno", "annuale", "12 mesi",
                "1 jaar", "een jaar", "jaarlijks", "jaarcontract", "12 maanden",
            ),
            "Two year": (
                "2 year", "2 years", "two years", "2yr", "2 yr", "2 yrs", "2y", "two yr", "24 months",
                "24 month", "24 mo", "24m", "biennial", "two year contract", "2 year contract",
                "24 month contract", "24 months contract", "biennial contract", "two year plan",
                "2 year plan", "24 month plan", "two year 24 months",
                "2 jahre", "zwei jahre", "zweijährig", "zweijahresvertrag", "24 monate",
                "2 ans", "deux ans", "bisannuel", "24 mois",
                "2 años", "dos años", "bienal", "24 meses",
                "dois anos",
                "2 anni", "due anni", "biennale", "24 mesi",
                "2 jaar", "twee jaar", "tweejaarlijks", "24 maanden",
            ),
        },
        {
            "Month-to-month": "Month-to-month contract",
            "One year": "One-year contract",
            "Two year": "Two-year contract",
        },
        aliases=(
            "contract type", "contract term", "contract length", "contract duration", "contract period",
            "contract kind", "type of contract", "subscription type", "subscription term", "plan term",
            "commitment",
            "vertrag", "vertragsart", "vertragstyp", "vertragslaufzeit", "vertragsbindung",
            "type de contrat", "contrat", "durée du contrat", "durée d'engagement", "engagement",
            "tipo de contrato", "contrato", "duración del contrato",
            "duração do contrato",
            "tipo di contratto", "contratto", "durata del contratto", "durata contratto",
            "contracttype", "soort contract", "contractduur", "contractvorm",
        ),
        numbered=(
            NumberedCategories(
                unit="months",
                categories={"0": "Month-to-month", "1": "Month-to-month", "12": "One year", "24": "Two year"},
                telling=("12", "24"),
            ),
            NumberedCategories(
                unit="years", categories={"0": "Month-to-month", "1": "One year", "2": "Two year"}
            ),
        ),
    ),
    _categorical(
        "InternetService",
        "Internet service",
        {
            "DSL": ("adsl", "adsl2", "vdsl", "vdsl2", "sdsl", "xdsl", "dsl internet"),
            "Fiber optic": (
                "fiber", "fibre", "fibre optic", "fiber optics", "fibre optics", "optical fiber",
                "optical fibre", "fiber internet", "ftth", "fttp",
                "glasfaser", "fibre optique", "fibra", "fibra óptica", "fibra ottica", "glasvezel",
            ),
            "No": (
                *_NO, *_NO_INTERNET, "none", "no service",
                "keiner", "keins", "aucun", "ninguno", "nenhum", "nessuno", "nessun servizio", "geen",
            ),
        },
        {"DSL": "DSL internet", "Fiber optic": "Fiber-optic internet", "No": "No internet service"},
        aliases=(
            "internet service", "internet", "internet type", "internet service type", "type of internet",
            "type of internet service", "internet connection", "internet connection type",
            "internet technology", "internet access", "broadband", "broadband type", "broadband service",
            "internetdienst", "internetart", "internettyp", "internetanschluss", "internetzugang",
            "breitband",
            "service internet", "type d'internet", "connexion internet", "accès internet",
            "servicio de internet", "servicio internet", "tipo de internet", "conexión a internet",
            "serviço de internet", "serviço internet", "conexão de internet", "conexão à internet",
            "servizio internet", "tipo di internet", "connessione internet",
            "internettype", "type internet", "internetverbinding", "internetaansluiting",
            "connection type", "access technology", "connection technology",
        ),
        gate=Gate(
            aliases=(
                "internet service", "internet", "has internet", "has internet service", "internet access",
                "internet customer", "broadband", "internetdienst", "internetzugang", "service internet",
                "accès internet", "servicio de internet", "servicio internet", "serviço de internet",
                "serviço internet", "servizio internet",
            ),
            yes=tuple(dict.fromkeys(map(normalise, _YES))),
            category="No",
        ),
    ),
    NumericSpecification(
        name="MonthlyCharges",
        label="Monthly charge",
        aliases=_with_umlauts_written_out(
            (
                "monthly charges", "monthly charge", "monthly fee", "monthly amount", "monthly bill",
                "monthly cost", "monthly price", "monthly payment", "monthly revenue", "charge per month",
                "charges per month", "price per month", "fee per month", "cost per month",
                "amount per month", "mrr", "monthly recurring revenue", "monthly recurring charge",
                "monthly recurring charges", "arpu",
                "monatsbeitrag", "monatliche kosten", "monatliche gebühr", "monatsgebühr", "monatspreis",
                "monatlicher preis", "monatlicher betrag", "monatsrechnung", "monatliche rechnung",
                "kosten pro monat", "preis pro monat", "gebühr pro monat", "betrag pro monat",
                "mensualité", "frais mensuels", "coût mensuel", "montant mensuel", "prix mensuel",
                "tarif mensuel", "facture mensuelle", "redevance mensuelle", "prix par mois",
                "coût par mois",
                "cargo mensual", "cargos mensuales", "cuota mensual", "costo mensual", "coste mensual",
                "importe mensual", "precio mensual", "pago mensual", "mensualidad", "tarifa mensual",
                "factura mensual",
                "cobrança mensal", "cobranças mensais", "mensalidade", "valor mensal", "custo mensal",
                "encargo mensal", "encargos mensais", "preço mensal", "tarifa mensal", "fatura mensal",
                "canone mensile", "costo mensile", "costi mensili", "importo mensile", "spesa mensile",
                "tariffa mensile", "addebito mensile", "addebiti mensili", "prezzo mensile",
                "maandelijkse kosten", "maandbedrag", "maandelijks bedrag", "maandprijs", "maandkosten",
                "maandtarief", "kosten per maand", "prijs per maand", "bedrag per maand",
            )
        ),
        unit="currency",
        valid_min=0,
        valid_max=100_000,
        wording=NumericWording(
            value="Monthly charge of {value}", missing="Unknown monthly charge", decimals=2
        ),
    ),
    _categorical(
        "PaymentMethod",
        "Payment method",
        {
            "Bank transfer (automatic)": (
                "bank transfer", "automatic bank transfer", "bank transfer auto", "direct debit",
                "bank draft", "ach", "sepa", "sepa direct debit",
                "lastschrift", "sepa lastschrift", "bankeinzug", "banküberweisung", "überweisung",
                "automatische banküberweisung", "banküberweisung automatisch",
                "virement", "virement bancaire", "virement automatique", "virement bancaire automatique",
                "prélèvement", "prélèvement automatique", "prélèvement bancaire",
                "transferencia", "transferencia bancaria", "transferencia bancaria automática",
                "domiciliación", "domiciliación bancaria",
                "débito em conta",
                "bonifico", "bonifico bancario", "bonifico bancario automatico", "addebito diretto",
                "addebito su conto",
                "overschrijving", "bankoverschrijving", "automatische bankoverschrijving",
                "bankoverschrijving automatisch", "incasso", "automatische incasso",
            ),
            "Credit card (automatic)": (
                "credit card", "automatic credit card", "credit card auto", "card", "cc",
                "kreditkarte", "automatische kreditkarte", "kreditkarte automatisch",
                "carte de crédit", "carte de crédit automatique", "carte", "carte bancaire",
                "tarjeta de crédito", "tarjeta de crédito automática", "tarjeta",
                "cartão de crédito", "cartão de crédito automático", "cartão",
                "carta di credito", "carta di credito automatica",
                "creditcard", "creditcard automatisch", "automatische creditcard", "kredietkaart",
            ),
            "Electronic check": (
                "e check", "echeck", "electronic cheque", "e cheque", "electronic",
                "elektronischer scheck", "e scheck", "chèque électronique", "cheque electrónico",
                "cheque eletrônico", "assegno elettronico", "elektronische cheque",
            ),
            "Mailed check": (
                "check", "cheque", "mailed cheque", "mail check", "paper check", "check by mail",
                "cheque by mail", "cheque by post",
                "scheck", "scheck per post", "postscheck",
                "chèque postal", "chèque par courrier", "chèque par la poste",
                "cheque por correo", "cheque enviado por correo",
                "cheque pelo correio", "cheque por correio", "cheque enviado pelo correio",
                "assegno", "assegno per posta", "assegno postale",
                "cheque per post",
            ),
        },
        {
            "Bank transfer (automatic)": "Payment by automatic bank transfer",
            "Credit card (automatic)": "Payment by automatic credit card",
            "Electronic check": "Payment by electronic check",
            "Mailed check": "Payment by mailed check",
        },
        aliases=(
            "payment method", "payment", "payment type", "pay method", "method of payment",
            "zahlungsart", "zahlungsmethode", "zahlart", "zahlungsmittel", "bezahlmethode",
            "mode de paiement", "moyen de paiement", "méthode de paiement", "type de paiement",
            "método de pago", "forma de pago", "medio de pago", "tipo de pago", "modo de pago",
            "forma de pagamento", "método de pagamento", "meio de pagamento", "tipo de pagamento",
            "metodo di pagamento", "modalità di pagamento", "mezzo di pagamento", "tipo di pagamento",
            "betaalmethode", "betaalwijze", "betalingsmethode", "betaalmiddel",
        ),
    ),
    _categorical(
        "PaperlessBilling",
        "Paperless billing",
        {"No": (*_NOT_BOOKED, "paper"), "Yes": (*_BOOKED, "paperless")},
        {"No": "Billing on paper", "Yes": "Paperless billing"},
        aliases=(
            "paperless billing", "paperless", "e billing", "ebilling", "electronic billing", "online billing",
            "papierlose rechnung", "papierlose abrechnung", "online rechnung", "elektronische rechnung",
            "e rechnung", "digitale rechnung",
            "facture électronique", "facturation électronique", "facture dématérialisée",
            "facturation sans papier", "e facture",
            "factura electrónica", "facturación electrónica", "factura digital", "factura sin papel",
            "facturación sin papel",
            "fatura eletrônica", "fatura digital", "fatura sem papel", "faturamento eletrônico",
            "fattura elettronica", "fatturazione elettronica", "fattura digitale", "bolletta digitale",
            "digitale factuur", "elektronische factuur", "e factuur", "papierloze factuur",
            "papierloos factureren",
        ),
        numbered=_CODES,
    ),
    _internet_add_on(
        "OnlineSecurity",
        "Online security",
        "online security",
        aliases=(
            "online security", "internet security", "security service",
            "online sicherheit", "internetsicherheit", "online schutz",
            "sécurité en ligne", "sécurité internet",
            "seguridad en línea", "seguridad online", "seguridad en internet",
            "segurança online", "segurança na internet",
            "sicurezza online", "sicurezza internet", "sicurezza in rete",
            "online beveiliging", "internetbeveiliging", "online veiligheid",
        ),
    ),
    _internet_add_on(
        "OnlineBackup",
        "Online backup",
        "online backup",
        aliases=(
            "online backup", "backup", "cloud backup", "backup service",
            "online sicherung", "online datensicherung", "datensicherung",
            "sauvegarde en ligne", "sauvegarde",
            "copia de seguridad en línea", "copia de seguridad online", "copia de seguridad",
            "respaldo en línea", "respaldo online",
            "backup online", "backup na nuvem", "cópia de segurança online", "cópia de segurança",
            "backup in cloud",
        ),
    ),
    _internet_add_on(
        "DeviceProtection",
        "Device protection",
        "device protection",
        aliases=(
            "device protection", "device insurance", "device protection plan", "equipment protection",
            "geräteschutz", "geräteversicherung",
            "protection de l'appareil", "protection des appareils", "protection appareil",
            "assurance appareil",
            "protección de dispositivos", "protección de dispositivo", "protección del dispositivo",
            "seguro de dispositivo",
            "proteção do dispositivo", "proteção de dispositivo", "proteção de dispositivos",
            "protezione dispositivo", "protezione del dispositivo", "protezione dispositivi",
            "assicurazione dispositivo",
            "apparaatbescherming", "apparaatverzekering", "toestelverzekering",
        ),
    ),
    _internet_add_on(
        "TechSupport",
        "Tech support",
        "tech support",
        aliases=(
            "tech support", "technical support", "premium support", "premium tech support",
            "technischer support", "technische unterstützung",
            "support technique", "assistance technique",
            "soporte técnico", "asistencia técnica",
            "suporte técnico", "assistência técnica",
            "supporto tecnico", "assistenza tecnica",
            "technische ondersteuning", "technische support", "technische hulp",
        ),
    ),
    _internet_add_on(
        "StreamingTV",
        "Streaming TV",
        "streaming TV",
        aliases=(
            "streaming tv", "tv streaming", "tv", "iptv",
            "fernsehstreaming",
            "tv en streaming", "télévision en streaming",
            "televisión en streaming", "streaming de tv",
            "tv em streaming", "tv por streaming",
            "tv in streaming",
            "tv streamen", "streaming televisie",
        ),
    ),
    _internet_add_on(
        "StreamingMovies",
        "Streaming movies",
        "streaming movies",
        aliases=(
            "streaming movies", "movie streaming", "movies", "video on demand",
            "film streaming", "streaming filme", "filme streaming",
            "films en streaming", "streaming de films",
            "películas en streaming", "streaming de películas",
            "streaming de filmes", "filmes em streaming", "filmes por streaming",
            "film in streaming", "streaming di film", "streaming film",
            "films streamen", "streaming films", "films streaming",
        ),
    ),
    _categorical(
        "PhoneService",
        "Phone service",
        {"No": (*_NOT_BOOKED, *_NO_PHONE), "Yes": _BOOKED},
        {"No": "No phone service", "Yes": "Phone service"},
        aliases=(
            "phone service", "has phone", "telephone service", "telephony", "landline",
            "telefondienst", "telefonie", "telefonanschluss", "festnetz",
            "service téléphonique", "téléphonie",
            "servicio telefónico", "servicio de teléfono", "telefonía",
            "serviço de telefone", "serviço telefônico",
            "servizio telefonico",
            "telefoondienst",
            # Last resort: these may contain a phone number.
            "telefon", "téléphone", "teléfono", "telefone", "telefoon",
        ),
        numbered=_CODES,
    ),
    _categorical(
        "MultipleLines",
        "Multiple lines",
        {
            "No": (*_NOT_BOOKED, "single", "single line"),
            "No phone service": _NO_PHONE,
            "Yes": (*_BOOKED, "multiple"),
        },
        {
            "No": "A single phone line",
            "No phone service": "Multiple lines not applicable (no phone)",
            "Yes": "Having multiple lines",
        },
        aliases=(
            "multiple lines", "multi line", "multiple phone lines", "multiline", "several lines",
            "mehrere leitungen", "mehrere anschlüsse", "mehrfachleitung", "mehrere telefonleitungen",
            "lignes multiples", "plusieurs lignes",
            "líneas múltiples", "múltiples líneas", "varias líneas",
            "linhas múltiplas", "múltiplas linhas", "várias linhas",
            "linee multiple", "più linee",
            "meerdere lijnen", "meerdere telefoonlijnen",
        ),
        # With a 2 among them the numbers count lines, and 1 is not Yes.
        numbered=(
            NumberedCategories(
                unit="lines",
                categories={"0": "No phone service", "1": "No"} | dict.fromkeys(_SEVERAL, "Yes"),
                telling=_SEVERAL,
            ),
        ),
        implied=ImpliedCategory(
            feature="PhoneService", category="No", written="No", means="No phone service"
        ),
    ),
)  # fmt: skip
"""The features of the shipped model."""

CUSTOMER_VALUE = CustomerValue(feature="MonthlyCharges", period="month")

ACTIONS: Mapping[str, str] = {
    "tenure": (
        "Call within the first weeks: ask whether everything works, explain the first bill and name one "
        "person to turn to."
    ),
    "Contract": "Offer a one-year contract with a lower monthly price or a free extra from the first month.",
    "InternetService": (
        "Check speed, faults and tickets of the line, put right what is found, and compare the price with "
        "offers in the customer's area."
    ),
    "MonthlyCharges": (
        "Review the tariff together: move to a plan that fits the usage, or give a loyalty discount for six "
        "months."
    ),
    "PaymentMethod": (
        "Offer a small credit for paying automatically, by bank transfer or card: every bill paid by hand "
        "is a moment to think again."
    ),
    "PaperlessBilling": (
        "Send an e-mail before the next bill that explains its items, and offer a bill on paper if wanted."
    ),
    "OnlineSecurity": "Offer online security free for three months, and set it up in the same call.",
    "OnlineBackup": "Offer online backup free for three months, and help with the first backup.",
    "DeviceProtection": "Offer device protection free for three months for the devices in use.",
    "TechSupport": "Offer tech support free for three months, and solve one open problem in the first call.",
    "StreamingTV": "Check that TV streams well in the evening, and offer a bundle at a lower price.",
    "StreamingMovies": "Check that movies stream well in the evening, and offer a bundle at a lower price.",
    "PhoneService": "Offer a bundle of internet and phone at a lower price than both alone.",
    "MultipleLines": "Go through the lines together, cancel the unused ones and bundle the others.",
}
"""What somebody in customer success could do where a feature raises the risk."""

OUTCOME = Outcome(
    name=LABEL,
    label="Churn",
    aliases=_with_umlauts_written_out(
        (
            "churn label", "churn value", "churned", "churn flag", "churn indicator", "churn status",
            "is churn", "is churned", "has churned", "customer churn", "customer churned", "exited",
            "has exited", "is exited", "customer exited", "attrition flag", "attrition", "attrited",
            "has left", "left", "already left", "customer left", "cancelled", "canceled", "is cancelled",
            "is canceled", "has cancelled", "terminated", "lost customer",
            "abwanderung", "abgewandert", "ist abgewandert", "gekündigt", "hat gekündigt", "kündigung",
            "résilié", "a résilié", "résiliation", "désabonné", "parti",
            "baja", "dado de baja", "abandono", "cancelado", "cancelación",
            "cancelou", "cancelamento", "evasão",
            "abbandono", "ha abbandonato", "disdetta", "cessato",
            "opgezegd", "heeft opgezegd", "opzegging", "vertrokken",
            "customer status", "customer state", "subscriber status", "subscription status",
            "account status", "kundenstatus", "statut client", "estado del cliente", "estado cliente",
            "status do cliente", "stato cliente", "klantstatus",
            # Last resort: the status of something else, whose values mean nothing here.
            "status",
        )
    ),
    left=tuple(
        dict.fromkeys(
            normalise(word)
            for word in _with_umlauts_written_out(
                (
                    *_YES, "churned", "churn", "left", "has left", "cancelled", "canceled", "terminated",
                    "exited", "lost", "gone", "disconnected", "former", "former customer", "attrited",
                    "attrited customer", "closed",
                    "abgewandert", "gekündigt", "ehemalig", "ehemaliger kunde",
                    "résilié", "désabonné", "parti", "ancien client",
                    "baja", "de baja", "dado de baja", "cancelado", "abandonó", "perdido",
                    "cancelou", "saiu",
                    "abbandonato", "cessato", "disdetto", "perso",
                    "opgezegd", "vertrokken", "beëindigd",
                )
            )
        )
    ),
    stayed=tuple(
        dict.fromkeys(
            normalise(word)
            for word in (
                *_NO, "stayed", "stays", "active", "existing", "existing customer", "current",
                "current customer", "retained", "joined", "new", "loyal", "not churned", "open",
                "aktiv", "bestandskunde", "neukunde", "actif", "client actif", "activo", "alta", "de alta",
                "ativo", "attivo", "actief", "gebleven",
            )
        )
    ),
    hints=_with_umlauts_written_out(
        (
            "churn date", "date of churn", "churned date", "churned at", "churn reason", "cancellation date",
            "cancelation date", "cancel date", "cancelled date", "cancelled at", "canceled at",
            "cancellation reason", "cancelled on", "date cancelled", "termination date", "terminated at",
            "disconnect date", "disconnection date", "deactivation date", "closed date", "date closed",
            "close date", "account closed date", "exit date", "leaving date", "end date", "customer until",
            "active", "is active", "still active", "active customer", "is active customer",
            "current customer", "retained", "stayed", "is deleted", "deleted",
            "lifecycle stage", "customer lifecycle stage",
            "kündigungsdatum", "kündigung zum", "gekündigt zum", "gekündigt am", "kündigung am",
            "kündigungsgrund", "austrittsdatum", "kunde bis", "aktiv", "aktiver kunde",
            "date de résiliation", "motif de résiliation", "résilié le", "actif", "client actif",
            "fecha de baja", "motivo de baja", "fecha de cancelación", "activo", "cliente activo",
            "data de cancelamento", "motivo do cancelamento", "ativo", "cliente ativo",
            "data disdetta", "data di disdetta", "data cessazione", "attivo", "cliente attivo",
            "opzegdatum", "datum opzegging", "einddatum", "actief", "actieve klant",
        )
    ),
)  # fmt: skip
"""Who has already left. "Inactive" and "suspended" say nothing of it, and a date may be in the future."""

GENDER_AND_AGE: tuple[CategoricalSpecification, ...] = (
    _categorical(
        "gender", "Gender", {"Female": (), "Male": ()}, {"Female": "Female", "Male": "Male"}, aliases=()
    ),
    _categorical(
        "SeniorCitizen",
        "Senior citizen",
        {"No": _NO, "Yes": _YES},
        {"No": "Not a senior", "Yes": "Senior"},
        aliases=(),
    ),
)
FAMILY_STATUS: tuple[CategoricalSpecification, ...] = (
    _categorical(
        "Partner",
        "Partner",
        {"No": _NO, "Yes": _YES},
        {"No": "Having no partner", "Yes": "Having a partner"},
        aliases=(),
    ),
    _categorical(
        "Dependents",
        "Dependents",
        {"No": _NO, "Yes": _YES},
        {"No": "Having no dependents", "Yes": "Having dependents"},
        aliases=(),
    ),
)
PROTECTED = (*GENDER_AND_AGE, *FAMILY_STATUS)
"""Protected attributes. The training measures what they would add; the model does not read them."""

TOTAL_CHARGES: Specification = NumericSpecification(
    name="TotalCharges",
    label="Total charge",
    unit="currency",
    valid_min=0,
    valid_max=100_000_000,
    wording=NumericWording(value="Total charge of {value}", missing="Unknown total charge", decimals=2),
)
"""Approximately tenure times the monthly charge. The training measures what it would add."""

EXCLUDED_COLUMNS = (
    *(ExcludedColumn(name=feature.name, reason="a protected attribute") for feature in PROTECTED),
    ExcludedColumn(
        name="TotalCharges",
        reason="nearly tenure times the monthly charge; a model that reads it is worse where a file lacks it",
    ),
)
