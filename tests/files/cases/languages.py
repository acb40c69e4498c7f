"""Files in ten languages: headers, values, units and decimal separators."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tests.files.cases.units import in_unit
from tests.files.outcomes import Case, Outcome, case, refused, same
from tests.files.table import ADD_ONS, ID, Table, plain

KIND = "4 languages"

_PAYMENTS = ("Electronic check", "Mailed check", "Bank transfer (automatic)", "Credit card (automatic)")


@dataclass(frozen=True)
class Language:
    """A telecom's export in one language: the words a product must know are natural, not the rarest."""

    name: str
    headers: Mapping[str, str]
    yes: str
    no: str
    no_internet: str
    no_phone: str
    contracts: tuple[str, str, str]
    internet: tuple[str, str, str]
    payments: tuple[str, str, str, str]
    months: str
    years: str
    days: str
    lengths: tuple[str, str, str]
    encoding: str
    is_promised: bool = True
    """Whether issue 8 names it; of the others a clear refusal is enough."""

    def worded(self, table: Table) -> Table:
        """Write the values in this language."""
        yes_or_no = ("Partner", "Dependents", "PhoneService", "PaperlessBilling", "MultipleLines", *ADD_ONS)
        for column in set(yes_or_no) & set(table.columns):
            words = {"Yes": self.yes, "No": self.no, "No internet service": self.no_internet}
            table = table.worded(column, {**words, "No phone service": self.no_phone})
        contracts = ("Month-to-month", "One year", "Two year")
        table = table.worded("Contract", dict(zip(contracts, self.contracts, strict=True)))
        services = ("DSL", "Fiber optic", "No")
        table = table.worded("InternetService", dict(zip(services, self.internet, strict=True)))
        return table.worded("PaymentMethod", dict(zip(_PAYMENTS, self.payments, strict=True)))


def _headers(*names: str) -> Mapping[str, str]:
    columns = (
        ID, "tenure", "Contract", "InternetService", "MonthlyCharges", "PaymentMethod", "PaperlessBilling",
        "PhoneService", "MultipleLines", *ADD_ONS,
    )  # fmt: skip
    return dict(zip(columns, names, strict=True))


LANGUAGES = (
    Language(
        "German",
        _headers(
            "Kundennummer", "Vertragsdauer", "Vertragsart", "Internetdienst", "Monatliche Kosten",
            "Zahlungsart",
            "Papierlose Rechnung", "Telefondienst", "Mehrere Leitungen", "Online-Sicherheit", "Online-Backup",
            "Geräteschutz", "Technischer Support", "TV-Streaming", "Film-Streaming",
        ),
        "Ja", "Nein", "Kein Internet", "Kein Telefon",
        ("Monatlich", "Ein Jahr", "Zwei Jahre"), ("DSL", "Glasfaser", "Nein"),
        ("Elektronischer Scheck", "Scheck per Post", "Banküberweisung", "Kreditkarte"),
        "Monate", "Jahre", "Tage", ("1 Monat", "12 Monate", "24 Monate"), "cp1252",
    ),
    Language(
        "French",
        _headers(
            "Numéro client", "Ancienneté", "Type de contrat", "Service internet", "Frais mensuels",
            "Mode de paiement", "Facture électronique", "Service téléphonique", "Lignes multiples",
            "Sécurité en ligne", "Sauvegarde en ligne", "Protection de l'appareil", "Support technique",
            "TV en streaming", "Films en streaming",
        ),
        "Oui", "Non", "Pas d'internet", "Pas de téléphone",
        ("Mensuel", "Un an", "Deux ans"), ("DSL", "Fibre optique", "Non"),
        ("Chèque électronique", "Chèque postal", "Virement bancaire", "Carte de crédit"),
        "mois", "années", "jours", ("1 mois", "12 mois", "24 mois"), "cp1252",
    ),
    Language(
        "Spanish",
        _headers(
            "ID de cliente", "Antigüedad", "Tipo de contrato", "Servicio de internet", "Cargo mensual",
            "Método de pago", "Factura electrónica", "Servicio telefónico", "Líneas múltiples",
            "Seguridad en línea", "Copia de seguridad en línea", "Protección de dispositivos",
            "Soporte técnico",
            "TV en streaming", "Películas en streaming",
        ),
        "Sí", "No", "Sin internet", "Sin teléfono",
        ("Mensual", "Un año", "Dos años"), ("DSL", "Fibra óptica", "No"),
        ("Cheque electrónico", "Cheque por correo", "Transferencia bancaria", "Tarjeta de crédito"),
        "meses", "años", "días", ("1 mes", "12 meses", "24 meses"), "cp1252",
    ),
    Language(
        "Portuguese",
        _headers(
            "ID do cliente", "Tempo de contrato", "Tipo de contrato", "Serviço de internet",
            "Cobrança mensal",
            "Forma de pagamento", "Fatura eletrônica", "Serviço de telefone", "Linhas múltiplas",
            "Segurança online", "Backup online", "Proteção do dispositivo", "Suporte técnico",
            "Streaming de TV", "Streaming de filmes",
        ),
        "Sim", "Não", "Sem internet", "Sem telefone",
        ("Mensal", "Um ano", "Dois anos"), ("DSL", "Fibra óptica", "Não"),
        ("Cheque eletrônico", "Cheque pelo correio", "Transferência bancária", "Cartão de crédito"),
        "meses", "anos", "dias", ("1 mês", "12 meses", "24 meses"), "cp1252",
    ),
    Language(
        "Italian",
        _headers(
            "Codice cliente", "Anzianità", "Tipo di contratto", "Servizio internet", "Canone mensile",
            "Metodo di pagamento", "Fattura elettronica", "Servizio telefonico", "Linee multiple",
            "Sicurezza online", "Backup online", "Protezione dispositivo", "Supporto tecnico",
            "TV in streaming", "Film in streaming",
        ),
        "Sì", "No", "Senza internet", "Senza telefono",
        ("Mensile", "Un anno", "Due anni"), ("DSL", "Fibra ottica", "No"),
        ("Assegno elettronico", "Assegno per posta", "Bonifico bancario", "Carta di credito"),
        "mesi", "anni", "giorni", ("1 mese", "12 mesi", "24 mesi"), "cp1252",
    ),
    Language(
        "Dutch",
        _headers(
            "Klantnummer", "Looptijd", "Contracttype", "Internetdienst", "Maandelijkse kosten",
            "Betaalmethode",
            "Digitale factuur", "Telefoondienst", "Meerdere lijnen", "Online beveiliging", "Online back-up",
            "Apparaatbescherming", "Technische ondersteuning", "TV-streaming", "Films streamen",
        ),
        "Ja", "Nee", "Geen internet", "Geen telefoon",
        ("Maandelijks", "Een jaar", "Twee jaar"), ("DSL", "Glasvezel", "Nee"),
        ("Elektronische cheque", "Cheque per post", "Bankoverschrijving", "Creditcard"),
        "maanden", "jaren", "dagen", ("1 maand", "12 maanden", "24 maanden"), "cp1252",
    ),
    Language(
        "Polish",
        _headers(
            "Numer klienta", "Staż (miesiące)", "Typ umowy", "Usługa internetowa", "Opłata miesięczna",
            "Metoda płatności", "E-faktura", "Usługa telefoniczna", "Wiele linii", "Bezpieczeństwo online",
            "Kopia zapasowa online", "Ochrona urządzenia", "Wsparcie techniczne", "Telewizja strumieniowa",
            "Filmy strumieniowe",
        ),
        "Tak", "Nie", "Brak internetu", "Brak telefonu",
        ("Miesięczna", "Roczna", "Dwuletnia"), ("DSL", "Światłowód", "Nie"),
        ("Czek elektroniczny", "Czek pocztowy", "Przelew bankowy", "Karta kredytowa"),
        "miesiące", "lata", "dni", ("1 miesiąc", "12 miesięcy", "24 miesiące"), "cp1250", is_promised=False,
    ),
    Language(
        "Russian",
        _headers(
            "Номер клиента", "Срок (месяцы)", "Тип договора", "Интернет", "Ежемесячная плата",
            "Способ оплаты",
            "Электронный счёт", "Телефон", "Несколько линий", "Онлайн-защита", "Онлайн-копия",
            "Защита устройства", "Техподдержка", "Потоковое видео", "Потоковые фильмы",
        ),
        "Да", "Нет", "Нет интернета", "Нет телефона",
        ("Помесячно", "Один год", "Два года"), ("DSL", "Оптоволокно", "Нет"),
        ("Электронный чек", "Чек по почте", "Банковский перевод", "Кредитная карта"),
        "месяцы", "годы", "дни", ("1 месяц", "12 месяцев", "24 месяца"), "cp1251", is_promised=False,
    ),
    Language(
        "Japanese",
        _headers(
            "顧客番号", "利用期間(月)", "契約種別", "インターネット", "月額料金", "支払方法",
            "電子請求書", "電話サービス",
            "複数回線", "オンラインセキュリティ", "オンラインバックアップ", "端末保証", "技術サポート",
            "テレビ配信",
            "映画配信",
        ),
        "はい", "いいえ", "ネットなし", "電話なし",
        ("月契約", "一年契約", "二年契約"), ("DSL", "光回線", "なし"),
        ("電子小切手", "郵送小切手", "銀行振込", "クレジットカード"),
        "月", "年", "日", ("1か月", "12か月", "24か月"), "shift_jis", is_promised=False,
    ),
)  # fmt: skip

_IN_MONTHS = {
    "German": "in Monaten", "French": "en mois", "Spanish": "en meses", "Portuguese": "em meses",
    "Italian": "in mesi", "Dutch": "in maanden",
}  # fmt: skip

_VARIANTS: Mapping[str, Mapping[str, str]] = {
    # Other natural headers of the same export.
    "German: short words": {
        ID: "Kunden-ID", "tenure": "Kundendauer in Monaten", "Contract": "Vertrag",
        "InternetService": "Internet",
        "MonthlyCharges": "Monatsbeitrag (EUR)", "PaymentMethod": "Zahlungsmethode",
        "PaperlessBilling": "Online-Rechnung", "PhoneService": "Telefon", "MultipleLines": "Mehrfachleitung",
        "TechSupport": "Tech-Support", "DeviceProtection": "Geräteversicherung",
    },
    "French: short words": {
        ID: "ID client", "tenure": "Ancienneté (mois)", "Contract": "Contrat", "InternetService": "Internet",
        "MonthlyCharges": "Mensualité (€)", "PaymentMethod": "Moyen de paiement",
        "PaperlessBilling": "Facturation électronique", "PhoneService": "Téléphone",
        "TechSupport": "Assistance technique",
    },
    "Spanish: short words": {
        ID: "Número de cliente", "tenure": "Antigüedad (meses)", "Contract": "Contrato",
        "InternetService": "Internet", "MonthlyCharges": "Cuota mensual (€)",
        "PaymentMethod": "Forma de pago",
        "PaperlessBilling": "Facturación electrónica", "PhoneService": "Teléfono",
        "OnlineBackup": "Respaldo en línea",
    },
    "Portuguese: short words": {
        ID: "Número do cliente", "tenure": "Meses de contrato", "Contract": "Contrato",
        "InternetService": "Internet", "MonthlyCharges": "Mensalidade (R$)",
        "PaymentMethod": "Método de pagamento", "PhoneService": "Telefone",
    },
    "Italian: short words": {
        ID: "ID cliente", "tenure": "Anzianità (mesi)", "Contract": "Contratto",
        "InternetService": "Internet",
        "MonthlyCharges": "Costo mensile (€)", "PaymentMethod": "Modalità di pagamento",
        "PhoneService": "Telefono", "TechSupport": "Assistenza tecnica",
    },
    "Dutch: short words": {
        ID: "Klant-ID", "tenure": "Looptijd (maanden)", "Contract": "Contract", "InternetService": "Internet",
        "MonthlyCharges": "Maandbedrag (€)", "PaymentMethod": "Betaalwijze", "PhoneService": "Telefoon",
        "TechSupport": "Technische support",
    },
}  # fmt: skip

_NO_WORDS = refused(
    "required_columns_missing mapping_needs_confirmation implausible_values", r"(?i)mapping|confirm"
)


def cases() -> Iterator[Case]:
    for language in LANGUAGES:
        outcomes: tuple[Outcome, ...] = (same(),) if language.is_promised else (same(), _NO_WORDS)
        yield from _whole(language, outcomes)
        yield from _parts(language, outcomes)
        if language.is_promised:
            yield from _units(language)
    by_name = {language.name: language for language in LANGUAGES}
    for name, headers in _VARIANTS.items():
        language = by_name[name.split(":")[0]]
        table = language.worded(_headed(language)).headed(headers).decimal_commas()
        yield case(KIND, name, table.text(";"))
    yield from _english()


def _headed(language: Language) -> Table:
    others = ("gender", "SeniorCitizen", "Partner", "Dependents", "TotalCharges")
    return plain().headed(language.headers).without(*others)


def _whole(language: Language, outcomes: tuple[Outcome, ...]) -> Iterator[Case]:
    table = language.worded(_headed(language))
    yield case(KIND, f"{language.name}, commas, UTF-8", table, *outcomes)
    local = table.decimal_commas().text(";", newline="\r\n")
    yield case(
        KIND, f"{language.name}, as a spreadsheet writes it, UTF-8 with a mark", "\ufeff" + local, *outcomes
    )
    in_local = local.replace("œ", "oe").encode(language.encoding)
    asked = refused("unreadable_encoding", "(?i)UTF-8|encoding")
    yield case(
        KIND,
        f"{language.name}, as a spreadsheet writes it, {language.encoding}",
        in_local,
        *outcomes,
        *(() if language.is_promised else (asked,)),
    )
    yield case(
        KIND,
        f"{language.name}, in capitals",
        table.headed(
            {column: header.upper() for column, header in zip(table.columns, table.headers, strict=True)}
        ),
        *outcomes,
    )


def _parts(language: Language, outcomes: tuple[Outcome, ...]) -> Iterator[Case]:
    yield case(KIND, f"{language.name} headers, English values", _headed(language), *outcomes)
    yield case(KIND, f"{language.name} values, English headers", language.worded(plain()), *outcomes)
    mapping = {
        "customer_id" if column == ID else column: header for column, header in language.headers.items()
    }
    yield case(
        KIND, f"{language.name} headers in a mapping, English values", _headed(language), mapping=mapping
    )
    table = language.worded(_headed(language))
    blank = table
    for column in ADD_ONS:
        blank = blank.worded(column, {language.no_internet: ""})
    yield case(KIND, f"{language.name}, add-ons blank without internet", blank, *outcomes)
    lengths = dict(zip(language.contracts, language.lengths, strict=True))
    yield case(
        KIND,
        f"{language.name}, contracts of {' / '.join(language.lengths)}",
        table.worded("Contract", lengths),
        *outcomes,
    )


def _units(language: Language) -> Iterator[Case]:
    table = language.worded(_headed(language))
    header = language.headers["tenure"]
    for months in (
        f"{header} ({language.months})",
        f"{header} [{language.months}]",
        f"{header} {_IN_MONTHS[language.name]}",
    ):
        yield case(KIND, f"{language.name}, “{months}”", table.headed({"tenure": months}))
    for word, unit in ((language.years, "years"), (language.days, "days")):
        named = f"{header} ({word})"
        written = table.headed({"tenure": named}).written("tenure", in_unit(unit))
        yield case(KIND, f"{language.name}, “{named}”", written, same("(?i)converted"))
    days = table.written("tenure", in_unit("days", 0))
    yield case(
        KIND,
        f"{language.name}, days under “{header}”",
        days,
        refused("implausible_values", header, "(?i)days", "(?i)confirm"),
    )
    charges = f"{language.headers['MonthlyCharges']} (EUR)"
    yield case(KIND, f"{language.name}, “{charges}”", table.headed({"MonthlyCharges": charges}))


_ENGLISH: Mapping[str, Mapping[str, str]] = {
    "British words": {
        ID: "Account Number", "tenure": "Customer tenure (months)", "Contract": "Contract type",
        "InternetService": "Broadband type", "MonthlyCharges": "Monthly charge (£)",
        "PaymentMethod": "Method of payment", "PaperlessBilling": "E-billing", "PhoneService": "Landline",
        "MultipleLines": "Multiple phone lines", "OnlineSecurity": "Internet security",
        "OnlineBackup": "Cloud backup", "DeviceProtection": "Device insurance",
        "TechSupport": "Technical support", "StreamingTV": "TV streaming",
        "StreamingMovies": "Movie streaming",
    },
    "a CRM's words": {
        ID: "crm_id", "tenure": "months_as_customer", "Contract": "contract_term",
        "InternetService": "internet_type", "MonthlyCharges": "mrr", "PaymentMethod": "payment_type",
        "PaperlessBilling": "paperless", "PhoneService": "has_phone", "MultipleLines": "multi_line",
        "OnlineSecurity": "online_security", "OnlineBackup": "online_backup",
        "DeviceProtection": "device_protection_plan", "TechSupport": "premium_tech_support",
        "StreamingTV": "streaming_tv", "StreamingMovies": "streaming_movies",
    },
    "the newer telco data's words": {
        ID: "Customer ID", "tenure": "Tenure in Months", "Contract": "Contract",
        "InternetService": "Internet Type", "MonthlyCharges": "Monthly Charge",
        "PaymentMethod": "Payment Method", "PaperlessBilling": "Paperless Billing",
        "PhoneService": "Phone Service", "MultipleLines": "Multiple Lines",
        "OnlineSecurity": "Online Security",
        "OnlineBackup": "Online Backup", "DeviceProtection": "Device Protection Plan",
        "TechSupport": "Premium Tech Support", "StreamingTV": "Streaming TV",
        "StreamingMovies": "Streaming Movies",
    },
}  # fmt: skip


def _english() -> Iterator[Case]:
    for name, headers in _ENGLISH.items():
        yield case(KIND, f"English: {name}", plain().headed(headers))
    yield case(
        KIND,
        "languages mixed: German headers, French values",
        LANGUAGES[1].worded(_headed(LANGUAGES[0])),
        same(),
    )
